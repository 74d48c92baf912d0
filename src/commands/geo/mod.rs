//! Commands on places on the earth, and their rows. Places are members of a sorted set whose scores are geohashes (`base/geohash`).
//! Owns how coordinates, units and distances are read and shown.

mod geoadd;
mod geodist;
mod geohash;
mod geopos;
mod georadius;
mod geosearch;
mod query;
mod search;

use std::io::Write as _;

use crate::base::args::Args;
use crate::base::float::parse_f64;
use crate::base::geohash::Place;
use crate::commands::error::CommandError;
use crate::commands::table::Flag::{DenyOom, ReadOnly, Write};
use crate::commands::table::{Command, Flag, Group, Keys, ONE_KEY, Spread, TWO_KEYS, row};
use crate::resp::write::{Protocol, Writer};

const G: Group = Group::Geo;
const CREATE: &[Flag] = &[Write, DenyOom];
const READ: &[Flag] = &[ReadOnly];
const STORED: Keys = Keys::Found { first: 1, find: georadius::keys };
const AROUND: Spread = Spread::Gather(&georadius::GATHER);
const AROUND_MEMBER: Spread = Spread::Gather(&georadius::GATHER_MEMBER);
const SEARCH: Spread = Spread::Gather(&geosearch::GATHER);

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(G, "geoadd",               geoadd::run,              -5, ONE_KEY,  CREATE, Spread::Key,   "3.2.0",  "O(log(N)) for each item added, where N is the number of elements in the sorted set.", "Adds one or more members to a geospatial index. The key is created if it doesn't exist."),
    row(G, "geodist",              geodist::run,             -4, ONE_KEY,  READ,   Spread::Key,   "3.2.0",  "O(1)", "Returns the distance between two members of a geospatial index."),
    row(G, "geohash",              geohash::run,             -2, ONE_KEY,  READ,   Spread::Key,   "3.2.0",  "O(1) for each member requested.", "Returns members from a geospatial index as geohash strings."),
    row(G, "geopos",               geopos::run,              -2, ONE_KEY,  READ,   Spread::Key,   "3.2.0",  "O(1) for each member requested.", "Returns the longitude and latitude of members from a geospatial index."),
    row(G, "georadius",            georadius::run,           -6, STORED,   CREATE, AROUND,        "3.2.0",  "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result."),
    row(G, "georadius_ro",         georadius::run_read,      -6, ONE_KEY,  READ,   Spread::Key,   "3.2.10", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Returns members from a geospatial index that are within a distance from a coordinate."),
    row(G, "georadiusbymember",    georadius::run_member,    -5, STORED,   CREATE, AROUND_MEMBER, "3.2.0",  "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Queries a geospatial index for members within a distance from a member, optionally stores the result."),
    row(G, "georadiusbymember_ro", georadius::run_member_read, -5, ONE_KEY, READ,  Spread::Key,   "3.2.10", "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.", "Returns members from a geospatial index that are within a distance from a member."),
    row(G, "geosearch",            geosearch::run,           -7, ONE_KEY,  READ,   Spread::Key,   "6.2.0",  "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape", "Queries a geospatial index for members inside an area of a box or a circle."),
    row(G, "geosearchstore",       geosearch::run_store,     -8, TWO_KEYS, CREATE, SEARCH,        "6.2.0",  "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape", "Queries a geospatial index for members inside an area of a box or a circle, optionally stores the result."),
];

/// Words `i` and `i + 1` as a place: longitude and latitude.
fn place(args: &Args<'_>, i: usize) -> Result<Place, CommandError> {
    let longitude = parse_f64(args.get(i)).ok_or(CommandError::NotFloat)?;
    let latitude = parse_f64(args.get(i + 1)).ok_or(CommandError::NotFloat)?;
    let place = Place { longitude, latitude };
    if place.is_valid() {
        return Ok(place);
    }
    Err(CommandError::Detailed(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// Meters of the unit that word `i` names.
fn unit_meters(args: &Args<'_>, i: usize) -> Result<f64, CommandError> {
    let units = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    let found = units.into_iter().find(|(name, _)| args.is(i, name));
    let unknown = CommandError::Text("ERR unsupported unit provided. please use M, KM, FT, MI");
    found.map(|(_, meters)| meters).ok_or(unknown)
}

/// Writes a coordinate: all its digits, without zeros at the end; a double in RESP3.
fn write_coordinate(degrees: f64, reply: &mut Writer<'_>) {
    let text = format!("{degrees:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    match reply.protocol() {
        Protocol::Resp2 => reply.bulk(text.as_bytes()),
        Protocol::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
    }
}

/// Writes a place as an array of two coordinates.
fn write_place(place: Place, reply: &mut Writer<'_>) {
    reply.array(2);
    write_coordinate(place.longitude, reply);
    write_coordinate(place.latitude, reply);
}

/// Writes a distance with four places. Redis 7.2 rounds the ten-thousandfold to an integer, which is not always what printing it does.
fn write_distance(distance: f64, reply: &mut Writer<'_>) {
    let parts = (distance * 10_000.0).round_ties_even() as u64;
    let mut text = [0; 32];
    let mut rest = text.as_mut_slice();
    write!(rest, "{}.{:04}", parts / 10_000, parts % 10_000).expect("the largest number fits");
    let length = 32 - rest.len();
    reply.bulk(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, Protocol::Resp3));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn shows_coordinates_without_needless_zeros() {
        for (degrees, text) in [
            (13.361389338970184, "13.36138933897018433"),
            (-180.0, "-180"),
            (0.0, "0"),
            (-0.0, "0"),
            (100.0, "100"),
            (0.5, "0.5"),
        ] {
            assert_eq!(written(|reply| write_coordinate(degrees, reply)), format!(",{text}\r\n"));
        }
    }

    #[test]
    fn shows_distances_with_four_places() {
        for (distance, text) in [
            (0.0, "0.0000"),
            (166274.15156960033, "166274.1516"),
            (0.00004, "0.0000"),
            (12.00005, "12.0000"),
            (1.5, "1.5000"),
        ] {
            assert_eq!(
                written(|reply| write_distance(distance, reply)),
                format!("${}\r\n{text}\r\n", text.len())
            );
        }
    }
}
