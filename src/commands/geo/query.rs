//! The words of the searches for places: GEORADIUS, GEORADIUSBYMEMBER, their _RO forms, GEOSEARCH and GEOSEARCHSTORE. Owns their
//! grammar and the order in which mistakes are noticed, which is Redis's; it looks up members that words name.

use crate::base::args::Args;
use crate::base::float::parse_f64;
use crate::base::geohash::{Area, Place, Shape};
use crate::commands::cx::integer;
use crate::commands::error::CommandError;
use crate::commands::geo::{place, unit_meters};
use crate::store::sorted_set::SortedSetRef;

/// Which of the commands asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// GEORADIUS key longitude latitude radius unit [options], or GEORADIUS_RO, which cannot store.
    Radius { may_store: bool },
    /// GEORADIUSBYMEMBER key member radius unit [options], or GEORADIUSBYMEMBER_RO, which cannot store.
    RadiusByMember { may_store: bool },
    /// GEOSEARCH key options.
    Search,
    /// GEOSEARCHSTORE destination key options.
    SearchStore,
}

impl Form {
    /// The word of the key that is searched.
    pub fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    fn first_option(self) -> usize {
        match self {
            Form::Radius { .. } => 6,
            Form::RadiusByMember { .. } => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    /// Whether STORE and STOREDIST name a destination.
    fn names_destination(self) -> bool {
        matches!(self, Form::Radius { may_store: true } | Form::RadiusByMember { may_store: true })
    }
}

/// The order of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nearest first.
    Ascending,
    /// Farthest first.
    Descending,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The area. Without a key to search, words that need one are not understood.
    pub area: Option<Area>,
    /// Meters of the unit in which distances are shown.
    pub unit_meters: f64,
    /// WITHDIST.
    pub shows_distance: bool,
    /// WITHHASH.
    pub shows_hash: bool,
    /// WITHCOORD.
    pub shows_place: bool,
    /// COUNT: at most so many results.
    pub count: Option<usize>,
    /// ANY: stop at the first `count` that are found.
    pub takes_any: bool,
    /// ASC, DESC.
    pub order: Option<Order>,
    /// The word of the key where results are stored.
    pub destination: Option<usize>,
    /// Whether the stored scores are distances.
    pub stores_distance: bool,
}

impl Query {
    /// Reads the words of a call; `set` is what its key holds.
    pub fn parse(args: &Args<'_>, form: Form, set: Option<SortedSetRef<'_>>) -> Result<Query, CommandError> {
        let mut query = Query { unit_meters: 1.0, ..Query::default() };
        let (mut middle, mut shape) = (None, None);
        // What was given, although perhaps not understood.
        let (mut has_member, mut has_place, mut has_radius, mut has_box) = (false, false, false, false);
        match form {
            Form::Radius { .. } => {
                middle = Some(place(args, 2)?);
                shape = Some(query.circle(args, 4)?);
            }
            Form::RadiusByMember { .. } => {
                if let Some(set) = set {
                    middle = Some(place_of(set, args.get(2))?);
                    shape = Some(query.circle(args, 3)?);
                }
            }
            Form::Search => {}
            Form::SearchStore => query.destination = Some(1),
        }
        let mut i = form.first_option();
        while i < args.len() {
            let rest = args.len() - i - 1;
            if args.is(i, "WITHDIST") {
                query.shows_distance = true;
            } else if args.is(i, "WITHHASH") {
                query.shows_hash = true;
            } else if args.is(i, "WITHCOORD") {
                query.shows_place = true;
            } else if args.is(i, "ANY") {
                query.takes_any = true;
            } else if args.is(i, "ASC") {
                query.order = Some(Order::Ascending);
            } else if args.is(i, "DESC") {
                query.order = Some(Order::Descending);
            } else if args.is(i, "COUNT") && rest >= 1 {
                let count = integer(args, i + 1)?;
                if count <= 0 {
                    return Err(CommandError::Text("ERR COUNT must be > 0"));
                }
                query.count = Some(count as usize);
                i += 1;
            } else if form.names_destination() && rest >= 1 && is_store(args, i) {
                query.destination = Some(i + 1);
                query.stores_distance = args.is(i, "STOREDIST");
                i += 1;
            } else if form.is_search() && args.is(i, "FROMMEMBER") && rest >= 1 && !has_place {
                if let Some(set) = set {
                    middle = Some(place_of(set, args.get(i + 1))?);
                }
                has_member = true;
                i += 1;
            } else if form.is_search() && args.is(i, "FROMLONLAT") && rest >= 2 && !has_member {
                middle = Some(place(args, i + 1)?);
                has_place = true;
                i += 2;
            } else if form.is_search() && args.is(i, "BYRADIUS") && rest >= 2 && !has_box {
                shape = Some(query.circle(args, i + 1)?);
                has_radius = true;
                i += 2;
            } else if form.is_search() && args.is(i, "BYBOX") && rest >= 3 && !has_radius {
                shape = Some(query.box_shape(args, i + 1)?);
                has_box = true;
                i += 3;
            } else if form == Form::SearchStore && args.is(i, "STOREDIST") {
                query.stores_distance = true;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        query.check(form)?;
        if form.is_search() && !(has_member || has_place) {
            return Err(exactly_one("FROMMEMBER or FROMLONLAT", args));
        }
        if form.is_search() && !(has_radius || has_box) {
            return Err(exactly_one("BYRADIUS and BYBOX", args));
        }
        if query.takes_any && query.count.is_none() {
            return Err(CommandError::Text("ERR the ANY argument requires COUNT argument"));
        }
        query.area = middle.zip(shape).map(|(middle, shape)| Area { middle, shape });
        // The nearest are wanted, unless any will do.
        if query.count.is_some() && !query.takes_any {
            query.order = query.order.or(Some(Order::Ascending));
        }
        Ok(query)
    }

    /// Results that are stored cannot be shown.
    fn check(&self, form: Form) -> Result<(), CommandError> {
        if self.destination.is_none() || !(self.shows_distance || self.shows_hash || self.shows_place) {
            return Ok(());
        }
        Err(CommandError::Text(if form == Form::SearchStore {
            "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        } else {
            "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        }))
    }

    /// Words `i` and `i + 1`: a radius and its unit.
    fn circle(&mut self, args: &Args<'_>, i: usize) -> Result<Shape, CommandError> {
        let radius = parse_f64(args.get(i)).ok_or(CommandError::Text("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(CommandError::Text("ERR radius cannot be negative"));
        }
        self.unit_meters = unit_meters(args, i + 1)?;
        Ok(Shape::Circle { radius_meters: radius * self.unit_meters })
    }

    /// Words `i` to `i + 2`: a width, a height and their unit.
    fn box_shape(&mut self, args: &Args<'_>, i: usize) -> Result<Shape, CommandError> {
        let width = parse_f64(args.get(i)).ok_or(CommandError::Text("ERR need numeric width"))?;
        let height = parse_f64(args.get(i + 1)).ok_or(CommandError::Text("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::Text("ERR height or width cannot be negative"));
        }
        let unit = unit_meters(args, i + 2)?;
        self.unit_meters = unit;
        Ok(Shape::Box { width_meters: width * unit, height_meters: height * unit })
    }
}

/// Whether word `i` says that a destination follows.
pub fn is_store(args: &Args<'_>, i: usize) -> bool {
    args.is(i, "STORE") || args.is(i, "STOREDIST")
}

fn place_of(set: SortedSetRef<'_>, member: &[u8]) -> Result<Place, CommandError> {
    let missing = CommandError::Text("ERR could not decode requested zset member");
    set.score(member).map(Place::of_score).ok_or(missing)
}

fn exactly_one(options: &str, args: &Args<'_>) -> CommandError {
    let command = String::from_utf8_lossy(args.get(0));
    CommandError::Detailed(format!("ERR exactly one of {options} can be specified for {command}"))
}
