//! Geohashes: a place on the earth as one integer whose leading bits name a cell of a grid, finer with each pair of bits.
//! Owns encoding, decoding, neighbouring cells, distances, and which cells cover an area. Pure; never knows a key.
//!
//! Latitudes and longitudes are halved in turn (Niemeyer's geohash); bits of the longitude stand at odd positions, counted from the
//! lowest. The range of latitudes is that of the Web Mercator projection (EPSG:3857), whose cells are about square. Distances are on a
//! sphere (haversine formula). Every sum and product has the order that Redis's `geohash.c` and `geohash_helper.c` have, and its constants:
//! results must be equal to the last digit.

/// Bits of either coordinate in the finest cells, which scores of sorted sets hold: 52 bits together.
pub const STEP_MAX: u8 = 26;
/// The smallest and the largest longitude, degrees.
pub const LONGITUDE: Range = Range { min: -180.0, max: 180.0 };
/// The smallest and the largest latitude, degrees.
pub const LATITUDE: Range = Range { min: -85.051_128_78, max: 85.051_128_78 };
/// The latitudes of geohashes as text, which other programs read.
const LATITUDE_OF_TEXT: Range = Range { min: -90.0, max: 90.0 };
/// The alphabet of such text: digits and letters without a, i, l and o.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Characters of such text.
pub const TEXT_BYTES: usize = 11;

const EARTH_RADIUS_METERS: f64 = 6_372_797.560_856;
/// Half the extent of the Web Mercator map.
const MERCATOR_METERS_MAX: f64 = 20_037_726.37;

/// Longitudes.
const ODD_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
/// Latitudes.
const EVEN_BITS: u64 = 0x5555_5555_5555_5555;

/// From a smallest to a largest value, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Range {
    /// Whether `value` lies between the ends or on one of them. Not a number does not.
    pub fn contains(self, value: f64) -> bool {
        self.min <= value && value <= self.max
    }

    fn width(self) -> f64 {
        self.max - self.min
    }

    /// Where `value` lies, in parts of which the range has `2^step`.
    fn part_of(self, value: f64, step: u8) -> u32 {
        ((value - self.min) / self.width() * f64::from(step_parts(step))) as u32
    }

    /// The part with a number.
    fn part(self, number: u32, step: u8) -> Range {
        let edge = |number: u32| self.min + f64::from(number) / f64::from(step_parts(step)) * self.width();
        Range { min: edge(number), max: edge(number.wrapping_add(1)) }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

fn step_parts(step: u8) -> u32 {
    1 << step
}

/// A place on the earth, degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

impl Place {
    /// Whether a geohash can name it.
    pub fn is_valid(self) -> bool {
        LONGITUDE.contains(self.longitude) && LATITUDE.contains(self.latitude)
    }

    /// The score under which a sorted set keeps the place: its finest cell.
    pub fn score(self) -> f64 {
        Cell::of(self, STEP_MAX).bits as f64
    }

    /// The middle of the cell that a score names. Any number is a score; one that names no cell gives some place.
    pub fn of_score(score: f64) -> Place {
        let cell = Cell { bits: score_bits(score), step: STEP_MAX };
        let (longitude, latitude) = cell.area();
        Place {
            longitude: longitude.middle().clamp(LONGITUDE.min, LONGITUDE.max),
            latitude: latitude.middle().clamp(LATITUDE.min, LATITUDE.max),
        }
    }

    /// The geohash as text that other programs read.
    pub fn text(self) -> [u8; TEXT_BYTES] {
        let bits = Cell::encode(self, STEP_MAX, LATITUDE_OF_TEXT).bits;
        // 52 bits make ten characters and two bits, which Redis leaves out: the last character is always the first of the alphabet.
        let character = |i: usize| if i < 10 { (bits >> (47 - 5 * i)) as usize % 32 } else { 0 };
        std::array::from_fn(|i| ALPHABET[character(i)])
    }

    /// The distance to another place over the ground, meters.
    pub fn distance_meters(self, to: Place) -> f64 {
        let (from_longitude, to_longitude) = (self.longitude.to_radians(), to.longitude.to_radians());
        let v = ((to_longitude - from_longitude) / 2.0).sin();
        if v == 0.0 {
            // On one meridian, as Redis 7.2 takes the short way.
            return self.latitude_distance_meters(to);
        }
        let (from_latitude, to_latitude) = (self.latitude.to_radians(), to.latitude.to_radians());
        let u = ((to_latitude - from_latitude) / 2.0).sin();
        let a = u * u + from_latitude.cos() * to_latitude.cos() * v * v;
        // On the other side of the earth, rounding may give a little more than 1.
        2.0 * EARTH_RADIUS_METERS * a.min(1.0).sqrt().asin()
    }

    fn latitude_distance_meters(self, to: Place) -> f64 {
        EARTH_RADIUS_METERS * (to.latitude.to_radians() - self.latitude.to_radians()).abs()
    }
}

/// The integer in a score, as the conversion of C on x86-64 has it for negative and for very large ones.
fn score_bits(score: f64) -> u64 {
    if score < 9_223_372_036_854_775_808.0 { score as i64 as u64 } else { score as u64 }
}

/// A cell of the grid that halves either coordinate `step` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The cell's number, `2 * step` bits.
    pub bits: u64,
    /// How often either coordinate was halved.
    pub step: u8,
}

impl Cell {
    /// The cell with a place in it.
    pub fn of(place: Place, step: u8) -> Cell {
        Cell::encode(place, step, LATITUDE)
    }

    fn encode(place: Place, step: u8, latitudes: Range) -> Cell {
        let latitude = latitudes.part_of(place.latitude, step);
        let longitude = LONGITUDE.part_of(place.longitude, step);
        Cell { bits: spread(latitude) | spread(longitude) << 1, step }
    }

    /// Its longitudes and its latitudes.
    fn area(self) -> (Range, Range) {
        let (longitude, latitude) = (squeeze(self.bits >> 1), squeeze(self.bits));
        (LONGITUDE.part(longitude, self.step), LATITUDE.part(latitude, self.step))
    }

    /// The scores of places in it: from the first up to, but not including, the second.
    pub fn scores(self) -> (f64, f64) {
        let finest = |bits: u64| (bits << (2 * (STEP_MAX - self.step))) as f64;
        (finest(self.bits), finest(self.bits + 1))
    }

    /// The cell so many cells to the east (or west, if negative) and to the north (or south). The grid goes around.
    fn moved(self, east: i8, north: i8) -> Cell {
        let unused = 64 - 2 * u32::from(self.step);
        let (odd, even) = (ODD_BITS >> unused, EVEN_BITS >> unused);
        // A carry must run over the bits of the other coordinate: they are all ones while it adds, and all zeros while it subtracts.
        let moved_in = |own: u64, others: u64, by: i8| match by {
            0 => own,
            1.. => own.wrapping_add(others + 1),
            _ => (own | others).wrapping_sub(others + 1),
        };
        let longitude = moved_in(self.bits & ODD_BITS, even, east) & if east == 0 { ODD_BITS } else { odd };
        let latitude =
            moved_in(self.bits & EVEN_BITS, odd, north) & if north == 0 { EVEN_BITS } else { even };
        Cell { bits: longitude | latitude, step: self.step }
    }
}

/// `f64::to_degrees` multiplies, and may differ in the last bit.
fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// Puts the bits of a number on even positions.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & EVEN_BITS
}

/// The number on the even positions.
fn squeeze(bits: u64) -> u32 {
    let mut bits = bits & EVEN_BITS;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// The outline of an area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All places at most so far from the middle.
    Circle {
        /// Meters.
        radius_meters: f64,
    },
    /// A rectangle around the middle, its sides along meridians and parallels.
    Box {
        /// From west to east, meters.
        width_meters: f64,
        /// From south to north, meters.
        height_meters: f64,
    },
}

/// An area on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Its middle.
    pub middle: Place,
    /// Its outline.
    pub shape: Shape,
}

/// Cells of a search: a place's own and its eight neighbours.
const NEIGHBOURHOOD: usize = 9;
/// In Redis's order, which decides the order of results: east and north of the middle.
const NEIGHBOURS: [(i8, i8); NEIGHBOURHOOD] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

impl Area {
    /// The distance of a place from the middle, meters, if it lies in the area.
    pub fn distance_meters(&self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius_meters } => {
                let distance = self.middle.distance_meters(place);
                (distance <= radius_meters).then_some(distance)
            }
            Shape::Box { width_meters, height_meters } => {
                if place.latitude_distance_meters(self.middle) > height_meters / 2.0 {
                    return None;
                }
                let across = Place { longitude: self.middle.longitude, latitude: place.latitude };
                if place.distance_meters(across) > width_meters / 2.0 {
                    return None;
                }
                Some(self.middle.distance_meters(place))
            }
        }
    }

    /// The cells that cover the area, in the order in which Redis searches them.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        let (longitudes, latitudes) = self.bounds();
        let mut step = self.estimated_step();
        let mut cell = Cell::of(self.middle, step);
        let reaches = |cell: Cell| {
            let longitudes_of = |east| cell.moved(east, 0).area().0;
            let latitudes_of = |north| cell.moved(0, north).area().1;
            !(latitudes_of(1).max < latitudes.max
                || latitudes_of(-1).min > latitudes.min
                || longitudes_of(1).max < longitudes.max
                || longitudes_of(-1).min > longitudes.min)
        };
        // Near the edge of a cell a neighbour may end before the area does.
        if step > 1 && !reaches(cell) {
            step -= 1;
            cell = Cell::of(self.middle, step);
        }
        let (own_longitudes, own_latitudes) = cell.area();
        let is_needless = move |(east, north): (i8, i8)| {
            step >= 2
                && (north < 0 && own_latitudes.min < latitudes.min
                    || north > 0 && own_latitudes.max > latitudes.max
                    || east < 0 && own_longitudes.min < longitudes.min
                    || east > 0 && own_longitudes.max > longitudes.max)
        };
        // In coarse grids neighbours meet behind the earth. Redis leaves a cell out if it is the one searched last, the first excepted.
        let mut last = None;
        NEIGHBOURS.into_iter().enumerate().filter(move |(_, to)| !is_needless(*to)).filter_map(
            move |(i, (east, north))| {
                let neighbour = cell.moved(east, north);
                if last == Some(neighbour) {
                    return None;
                }
                last = (i > 0).then_some(neighbour);
                Some(neighbour)
            },
        )
    }

    /// The longitudes and latitudes between which the area lies, more or less.
    fn bounds(&self) -> (Range, Range) {
        let Place { longitude, latitude } = self.middle;
        let (half_width, half_height) = match self.shape {
            Shape::Circle { radius_meters } => (radius_meters, radius_meters),
            Shape::Box { width_meters, height_meters } => (width_meters / 2.0, height_meters / 2.0),
        };
        let north = degrees(half_height / EARTH_RADIUS_METERS);
        // Meridians are closer together towards the pole: what counts is the side of the area that is nearer to it.
        let nearest = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(half_width / EARTH_RADIUS_METERS / nearest.to_radians().cos());
        (
            Range { min: longitude - east, max: longitude + east },
            Range { min: latitude - north, max: latitude + north },
        )
    }

    /// A step whose cells are large enough for a cell and its neighbours to cover the area, mostly.
    fn estimated_step(&self) -> u8 {
        let mut radius_meters = match self.shape {
            Shape::Circle { radius_meters } => radius_meters,
            Shape::Box { width_meters: width, height_meters: height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        if radius_meters == 0.0 {
            return STEP_MAX;
        }
        let mut step = 1;
        while radius_meters < MERCATOR_METERS_MAX {
            radius_meters *= 2.0;
            step += 1;
        }
        step -= 2;
        let latitude = self.middle.latitude.abs();
        step -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, i32::from(STEP_MAX)) as u8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

    fn places() -> impl Strategy<Value = Place> {
        (-180.0..=180.0, -85.0..=85.0).prop_map(|(longitude, latitude)| Place { longitude, latitude })
    }

    #[test]
    fn agrees_with_the_examples_of_the_command_pages() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(Place::of_score(CATANIA.score()).text(), *b"sqdtr74hyu0");
        let (palermo, catania) = (Place::of_score(PALERMO.score()), Place::of_score(CATANIA.score()));
        assert_eq!(format!("{:.4}", palermo.distance_meters(catania)), "166274.1516");
    }

    proptest! {
        #[test]
        fn a_score_names_a_place_nearby(place in places()) {
            let found = Place::of_score(place.score());
            prop_assert!(found.distance_meters(place) < 0.7);
            prop_assert_eq!(found.score(), place.score());
        }

        #[test]
        fn bits_spread_and_squeeze(number: u32) {
            let expected = (0..32).map(|i| u64::from(number >> i & 1) << (2 * i)).sum::<u64>();
            prop_assert_eq!(spread(number), expected);
            prop_assert_eq!(squeeze(expected), number);
            prop_assert_eq!(squeeze(expected | ODD_BITS), number);
        }

        #[test]
        fn neighbours_are_where_arithmetic_puts_them(
            step in 1..=STEP_MAX, x: u32, y: u32, east in -1..=1i8, north in -1..=1i8,
        ) {
            let mask = (1 << step) - 1;
            let (x, y) = (x & mask, y & mask);
            let cell = Cell { bits: spread(y) | spread(x) << 1, step };
            let (to_x, to_y) = (x.wrapping_add_signed(east.into()) & mask, y.wrapping_add_signed(north.into()) & mask);
            prop_assert_eq!(cell.moved(east, north), Cell { bits: spread(to_y) | spread(to_x) << 1, step });
        }

        #[test]
        fn the_cells_cover_the_area(
            middle in places(), east in -1.0..1.0f64, north in -1.0..1.0f64, size in 1.0..500_000.0f64, circle: bool,
        ) {
            let (width_meters, height_meters) = (size, size / 3.0);
            let shape = if circle {
                Shape::Circle { radius_meters: size }
            } else {
                Shape::Box { width_meters, height_meters }
            };
            let area = Area { middle, shape };
            // Some place near the middle, which may be in the area.
            let degrees = size / 111_000.0;
            let place = Place {
                longitude: middle.longitude + east * degrees / middle.latitude.to_radians().cos(),
                latitude: middle.latitude + north * degrees,
            };
            prop_assume!(place.is_valid() && middle.latitude.abs() < 75.0);
            if area.distance_meters(place).is_some() {
                let score = place.score();
                let found = area.cells().any(|cell| cell.scores().0 <= score && score < cell.scores().1);
                prop_assert!(found, "{place:?} lies in {area:?}");
            }
        }
    }
}
