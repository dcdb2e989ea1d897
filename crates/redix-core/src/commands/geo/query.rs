//! What GEOSEARCH, GEORADIUS and their kin ask for: around which point, in which shape, and what to
//! do with what is found.

use redix_types::geo::{Point, Shape};
use redix_types::num::{parse_f64, parse_i64};
use redix_types::table::KeyHasher;
use redix_types::zset::ZsetRef;

use super::{parse_point, unit_m};
use crate::command::args::{Args, Options};
use crate::error::ReplyError;

/// What a command has fixed by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The point, then a radius; may store.
    Radius,
    /// The same of a member's point.
    RadiusByMember,
    /// As the two, without storing.
    RadiusRo,
    RadiusByMemberRo,
    /// All by options.
    Search,
    /// All by options, and stores at word 1 what is found at word 2.
    SearchStore,
}

impl Form {
    /// Whether point and shape are options.
    fn has_options(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    /// The word of the sorted set to search.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    /// Whether STORE and STOREDIST are options.
    fn may_store(self) -> bool {
        matches!(self, Form::Radius | Form::RadiusByMember)
    }
}

/// The order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As it was found.
    Unsorted,
    Nearest,
    Farthest,
}

/// At which word the key is that the result is stored at, and whether with distances as scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) word: usize,
    pub(super) distances: bool,
}

/// Where the members are searched from.
#[derive(Clone, Copy)]
enum From {
    Point(Point),
    /// A member that is there if the sorted set is.
    Member(Option<Point>),
}

/// The area as its words state it.
enum Area {
    Circle(f64),
    Box(f64, f64),
    Polygon(Vec<Point>),
}

/// What a command asks for.
pub(super) struct Query {
    /// None where it depends on a member of a sorted set that does not exist.
    pub(super) shape: Option<Shape>,
    /// Metres in the unit of distances.
    pub(super) unit_m: f64,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_point: bool,
    pub(super) order: Order,
    /// Most members.
    pub(super) count: Option<usize>,
    /// Whether any so many will do, not the nearest.
    pub(super) any: bool,
    pub(super) store: Option<Store>,
}

/// A query, of which some words have been read.
struct Reader<'a> {
    form: Form,
    args: Args<'a>,
    set: Option<ZsetRef<'a>>,
    hasher: &'a KeyHasher,
    from: Option<From>,
    area: Option<Area>,
    query: Query,
}

impl Query {
    /// Reads the words of a command. `set` is what it searches. Errors: the options.
    pub(super) fn parse(
        form: Form,
        args: Args<'_>,
        set: Option<ZsetRef<'_>>,
        hasher: &KeyHasher,
    ) -> Result<Self, ReplyError> {
        let store = Store { word: 1, distances: false };
        let query = Query {
            shape: None,
            unit_m: 1.0,
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: Order::Unsorted,
            count: None,
            any: false,
            store: (form == Form::SearchStore).then_some(store),
        };
        let reader = Reader { form, args, set, hasher, from: None, area: None, query };
        reader.read()
    }
}

impl Reader<'_> {
    fn read(mut self) -> Result<Query, ReplyError> {
        let first = self.read_fixed_words()?;
        let mut words = self.args.options(first);
        while words.more() {
            if !self.read_option(&mut words)? && !self.read_area(&mut words)? {
                return Err(ReplyError::Syntax);
            }
        }
        self.check()?;
        if self.query.count.is_some() && !self.query.any && self.query.order == Order::Unsorted {
            self.query.order = Order::Nearest;
        }
        self.query.shape = shape(self.from, self.area, self.query.unit_m);
        Ok(self.query)
    }

    /// The words at fixed places; returns that of the first option.
    fn read_fixed_words(&mut self) -> Result<usize, ReplyError> {
        let radius = match self.form {
            Form::Search | Form::SearchStore => return Ok(self.form.source() + 1),
            Form::Radius | Form::RadiusRo => {
                self.from = Some(From::Point(parse_point(self.args, 2)?));
                4
            }
            Form::RadiusByMember | Form::RadiusByMemberRo => {
                self.from = Some(From::Member(self.member(2)?));
                if self.set.is_none() {
                    // Nobody looks at the radius then.
                    self.area = Some(Area::Circle(0.0));
                    return Ok(5);
                }
                3
            }
        };
        self.read_radius(radius)?;
        Ok(radius + 2)
    }

    fn read_radius(&mut self, word: usize) -> Result<(), ReplyError> {
        let radius = self.length(word, "radius")?;
        if radius < 0.0 {
            return Err(ReplyError::Static("ERR radius cannot be negative"));
        }
        self.query.unit_m = unit_m(self.args, word + 1)?;
        self.area = Some(Area::Circle(radius));
        Ok(())
    }

    fn length(&self, word: usize, what: &str) -> Result<f64, ReplyError> {
        parse_f64(self.args.get(word))
            .ok_or_else(|| ReplyError::err(format!("need numeric {what}")))
    }

    /// The point of the member at a word, if there is a set. Errors: it has no such member.
    fn member(&self, word: usize) -> Result<Option<Point>, ReplyError> {
        let Some(set) = self.set else { return Ok(None) };
        let member = self.args.get(word);
        match set.score(self.hasher, member) {
            Some(score) => Ok(Some(Point::of_score(score))),
            None => Err(ReplyError::quoting("member ", member, " does not exist")),
        }
    }

    /// Reads an option that has nothing to do with the area, if one comes next.
    fn read_option(&mut self, words: &mut Options<'_>) -> Result<bool, ReplyError> {
        let query = &mut self.query;
        if words.eat("WITHDIST") {
            query.with_distance = true;
        } else if words.eat("WITHHASH") {
            query.with_hash = true;
        } else if words.eat("WITHCOORD") {
            query.with_point = true;
        } else if words.eat("ANY") {
            query.any = true;
        } else if words.eat("ASC") {
            query.order = Order::Nearest;
        } else if words.eat("DESC") {
            query.order = Order::Farthest;
        } else if let Some(count) = words.eat_value("COUNT") {
            let count = parse_i64(count).ok_or(ReplyError::NotInteger)?;
            let count = usize::try_from(count).ok().filter(|count| *count > 0);
            query.count = Some(count.ok_or(ReplyError::Static("ERR COUNT must be > 0"))?);
        } else if self.form.may_store() && words.eat_value("STORE").is_some() {
            query.store = Some(Store { word: words.position() - 1, distances: false });
        } else if self.form.may_store() && words.eat_value("STOREDIST").is_some() {
            query.store = Some(Store { word: words.position() - 1, distances: true });
        } else if self.form == Form::SearchStore && words.eat("STOREDIST") {
            query.store = Some(Store { word: 1, distances: true });
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads what says where to search, if it comes next.
    fn read_area(&mut self, words: &mut Options<'_>) -> Result<bool, ReplyError> {
        if !self.form.has_options() {
            return Ok(false);
        }
        let (left, at) = (words.left() - 1, words.position() + 1);
        let is_polygon = matches!(self.area, Some(Area::Polygon(_)));
        let from_member = matches!(self.from, Some(From::Member(_)));
        let from_point = matches!(self.from, Some(From::Point(_)));
        let taken = if left >= 1 && !from_point && !is_polygon && words.eat("FROMMEMBER") {
            self.from = Some(From::Member(self.member(at)?));
            1
        } else if left >= 2 && !from_member && !is_polygon && words.eat("FROMLONLAT") {
            self.from = Some(From::Point(parse_point(self.args, at)?));
            2
        } else if left >= 2
            && matches!(self.area, None | Some(Area::Circle(_)))
            && words.eat("BYRADIUS")
        {
            self.read_radius(at)?;
            2
        } else if left >= 3 && matches!(self.area, None | Some(Area::Box(..))) && words.eat("BYBOX")
        {
            self.read_box(at)?;
            3
        } else if left >= 2
            && self.from.is_none()
            && matches!(self.area, None | Some(Area::Polygon(_)))
            && words.eat("BYPOLYGON")
        {
            self.read_polygon(at, left - 1)?
        } else {
            return Ok(false);
        };
        for _ in 0..taken {
            words.take();
        }
        Ok(true)
    }

    fn read_box(&mut self, word: usize) -> Result<(), ReplyError> {
        let (width, height) = (self.length(word, "width")?, self.length(word + 1, "height")?);
        if width < 0.0 || height < 0.0 {
            return Err(ReplyError::Static("ERR height or width cannot be negative"));
        }
        self.query.unit_m = unit_m(self.args, word + 2)?;
        self.area = Some(Area::Box(width, height));
        Ok(())
    }

    /// The number of vertices is at a word, behind which there are `left` others. Returns how many
    /// words it takes with its vertices.
    fn read_polygon(&mut self, word: usize, left: usize) -> Result<usize, ReplyError> {
        let count = parse_i64(self.args.get(word)).and_then(|count| i32::try_from(count).ok());
        let count = count.ok_or(ReplyError::Static("ERR invalid number of vertices"))?;
        let count = usize::try_from(count).ok().filter(|count| (3..=left / 2).contains(count));
        let too_few = ReplyError::Static("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
        let count = count.ok_or(too_few)?;
        let vertex = |index: usize| parse_point(self.args, word + 1 + 2 * index);
        self.area = Some(Area::Polygon((0..count).map(vertex).collect::<Result<_, _>>()?));
        self.query.unit_m = 1.0;
        Ok(1 + 2 * count)
    }

    /// Whether the options fit together.
    fn check(&self) -> Result<(), ReplyError> {
        let query = &self.query;
        let with = query.with_distance || query.with_hash || query.with_point;
        let name = if self.form == Form::SearchStore { "GEOSEARCHSTORE" } else { "GEOSEARCH" };
        let is_polygon = matches!(self.area, Some(Area::Polygon(_)));
        if query.store.is_some() && with {
            let what = if self.form.has_options() { name } else { "STORE option in GEORADIUS" };
            return Err(ReplyError::err(format!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        if self.from.is_none() && !is_polygon {
            return Err(ReplyError::err(format!(
                "exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if self.area.is_none() {
            return Err(ReplyError::err(format!(
                "exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for {name}"
            )));
        }
        if query.any && query.count.is_none() {
            return Err(ReplyError::Static("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }
}

fn shape(from: Option<From>, area: Option<Area>, unit_m: f64) -> Option<Shape> {
    let center = match from {
        Some(From::Point(point)) => Some(point),
        Some(From::Member(point)) => point,
        None => None,
    };
    match area? {
        Area::Circle(radius) => Some(Shape::Circle { center: center?, radius, unit_m }),
        Area::Box(width, height) => Some(Shape::Box { center: center?, width, height, unit_m }),
        Area::Polygon(vertices) => Some(Shape::Polygon(vertices)),
    }
}
