//! Positions on the earth as scores of a sorted set, and the search for those in an area.
//!
//! A score has 52 bits: 26 of the latitude and 26 of the longitude, interleaved, so that members of
//! one rectangle of the grid, at any of 26 resolutions, are a range of scores. A search chooses a
//! resolution by the size of its area and looks at the rectangle of the centre and its neighbours,
//! as many of the nine as the area reaches into.
//!
//! The arithmetic is that of the real servers, operation by operation: which members lie on an
//! edge, in which order rectangles are visited and the digits of distances follow from it. The
//! earth is a sphere.

#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

/// Radius of the earth in metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the equator in metres, as in the Mercator projection: at resolution 1 it is one
/// rectangle.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
/// The finest resolution: bits of each coordinate.
const STEP_MAX: u32 = 26;
/// Latitudes from here on are where the projection ends, which keeps rectangles square.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;

/// A position in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub longitude: f64,
    pub latitude: f64,
}

impl Point {
    /// Whether a score can express it.
    pub fn is_valid(self) -> bool {
        (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&self.longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&self.latitude)
    }

    /// The score of a valid position.
    pub fn score(self) -> u64 {
        Cell::of(self, STEP_MAX).bits()
    }

    /// The position that a score means, the centre of the smallest rectangle. Any score is one.
    pub fn of_score(score: f64) -> Self {
        let (south_west, north_east) = Cell::of_bits(score_bits(score)).corners();
        let middle = |a: f64, b: f64, max: f64| ((a + b) / 2.0).clamp(-max, max);
        Point {
            longitude: middle(south_west.longitude, north_east.longitude, LONGITUDE_MAX),
            latitude: middle(south_west.latitude, north_east.latitude, LATITUDE_MAX),
        }
    }

    /// Its Geohash, eleven characters. Source: geohash.org; the last one is always 0, since a
    /// score has no bits for it.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // There latitudes go to the poles.
        let lat = cell_at(self.latitude, 90.0, STEP_MAX);
        let lon = cell_at(self.longitude, LONGITUDE_MAX, STEP_MAX);
        let bits = interleave(lat, lon);
        std::array::from_fn(|index| match index {
            10 => b'0',
            _ => ALPHABET[(bits >> (47 - 5 * index) & 31) as usize],
        })
    }

    /// The distance in metres along the earth, by the haversine formula.
    pub fn distance_m(self, other: Point) -> f64 {
        let half_lon = (radians(other.longitude) - radians(self.longitude)) / 2.0;
        let v = half_lon.sin();
        if v == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (lat, other_lat) = (radians(self.latitude), radians(other.latitude));
        let u = ((other_lat - lat) / 2.0).sin();
        let a = u * u + lat.cos() * other_lat.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    /// The distance in metres between their circles of latitude.
    fn latitude_distance_m(self, other: Point) -> f64 {
        EARTH_RADIUS_M * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// A score as bits; what is no such number is converted as x86-64 does it.
fn score_bits(score: f64) -> u64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    match score {
        _ if score < TWO_TO_63 => score as i64 as u64,
        _ if score < 2.0 * TWO_TO_63 => score as u64,
        _ => 0,
    }
}

/// Bits of two numbers, those of `even` at the even places.
fn interleave(even: u32, odd: u32) -> u64 {
    let spread = |number: u32| {
        let mut bits = u64::from(number);
        bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
        bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
        bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
        (bits | bits << 1) & 0x5555_5555_5555_5555
    };
    spread(even) | spread(odd) << 1
}

/// The reverse: the bits at the even and at the odd places.
fn separate(bits: u64) -> (u32, u32) {
    let gather = |bits: u64| {
        let mut bits = bits & 0x5555_5555_5555_5555;
        bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
        bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
        bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
        bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
        (bits | bits >> 16) as u32
    };
    (gather(bits), gather(bits >> 1))
}

/// In which of 2^step parts of the range from `-max` to `max` a coordinate lies. The upper end
/// itself is a part of its own.
fn cell_at(coordinate: f64, max: f64, step: u32) -> u32 {
    ((coordinate + max) / (max + max) * f64::from(1_u32 << step)) as u32
}

/// Where the part begins.
fn cell_start(cell: u32, max: f64, step: u32) -> f64 {
    -max + f64::from(cell) / f64::from(1_u32 << step) * (max + max)
}

/// A rectangle of the grid: the bits of a score from the highest on, `step` of each coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    lat: u32,
    lon: u32,
    step: u32,
}

impl Cell {
    /// The one in which a point lies.
    fn of(point: Point, step: u32) -> Self {
        Cell {
            lat: cell_at(point.latitude, LATITUDE_MAX, step),
            lon: cell_at(point.longitude, LONGITUDE_MAX, step),
            step,
        }
    }

    /// The smallest one of a score.
    fn of_bits(bits: u64) -> Self {
        let (lat, lon) = separate(bits);
        Cell { lat, lon, step: STEP_MAX }
    }

    fn bits(self) -> u64 {
        interleave(self.lat, self.lon)
    }

    /// South-west and north-east.
    fn corners(self) -> (Point, Point) {
        let corner = |more: u32| Point {
            longitude: cell_start(self.lon.saturating_add(more), LONGITUDE_MAX, self.step),
            latitude: cell_start(self.lat.saturating_add(more), LATITUDE_MAX, self.step),
        };
        (corner(0), corner(1))
    }

    /// The one so many steps to the north and to the east; beyond an edge the opposite side
    /// follows.
    fn neighbour(self, north: i32, east: i32) -> Self {
        let moved = |cell: u32, by: i32| match by {
            0 => cell,
            _ => cell.wrapping_add_signed(by) & ((1 << self.step) - 1),
        };
        Cell { lat: moved(self.lat, north), lon: moved(self.lon, east), ..self }
    }

    /// The scores in it: from the first to before the second.
    fn scores(self) -> (f64, f64) {
        let unused = 2 * (STEP_MAX - self.step);
        ((self.bits() << unused) as f64, ((self.bits() + 1) << unused) as f64)
    }
}

/// What a search looks for. Lengths are in units of `unit_m` metres.
#[derive(Clone, Debug)]
pub enum Shape {
    Circle {
        center: Point,
        radius: f64,
        unit_m: f64,
    },
    Box {
        center: Point,
        width: f64,
        height: f64,
        unit_m: f64,
    },
    /// At least three vertices.
    Polygon(Vec<Point>),
}

/// The neighbours of a rectangle, as steps to the north and to the east, in the order in which they
/// are visited.
const NEIGHBOURS: [(i32, i32); 8] =
    [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)];

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    shape: Shape,
    center: Point,
    cells: ArrayVec<Cell, 9>,
}

/// The least rectangle around a shape.
#[derive(Clone, Copy)]
struct Bounds {
    south_west: Point,
    north_east: Point,
}

impl Shape {
    /// The point from which distances are measured: that of a polygon is the mean of its vertices
    /// on the sphere.
    fn center(&self) -> Point {
        let vertices = match self {
            Shape::Circle { center, .. } | Shape::Box { center, .. } => return *center,
            Shape::Polygon(vertices) => vertices,
        };
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in vertices {
            let (lon, lat) = (radians(vertex.longitude), radians(vertex.latitude));
            x += EARTH_RADIUS_M * lat.cos() * lon.cos();
            y += EARTH_RADIUS_M * lat.cos() * lon.sin();
            z += EARTH_RADIUS_M * lat.sin();
        }
        let count = vertices.len() as f64;
        let (x, y, z) = (x / count, y / count, z / count);
        Point { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) }
    }

    fn bounds(&self) -> Bounds {
        let (center, width_m, height_m) = match *self {
            Shape::Circle { center, radius, unit_m } => (center, unit_m * radius, unit_m * radius),
            Shape::Box { center, width, height, unit_m } => {
                (center, unit_m * width / 2.0, unit_m * height / 2.0)
            }
            Shape::Polygon(ref vertices) => return bounds_of(vertices),
        };
        let lat_delta = degrees(height_m / EARTH_RADIUS_M);
        // The circles of latitude are shorter towards the poles: the edge that is nearer to one
        // reaches over more degrees.
        let towards_pole = if center.latitude < 0.0 { -lat_delta } else { lat_delta };
        let shortest = radians(center.latitude + towards_pole).cos();
        let lon_delta = degrees(width_m / EARTH_RADIUS_M / shortest);
        let corner = |sign: f64| Point {
            longitude: center.longitude + sign * lon_delta,
            latitude: center.latitude + sign * lat_delta,
        };
        Bounds { south_west: corner(-1.0), north_east: corner(1.0) }
    }

    /// How far it reaches from its centre, in metres.
    fn reach_m(&self, center: Point, bounds: Bounds) -> f64 {
        match *self {
            Shape::Circle { radius, unit_m, .. } => radius * unit_m,
            Shape::Box { width, height, unit_m, .. } => {
                let (half_width, half_height) = (width / 2.0, height / 2.0);
                (half_width * half_width + half_height * half_height).sqrt() * unit_m
            }
            Shape::Polygon(_) => {
                let Bounds { south_west, north_east } = bounds;
                [south_west.longitude, north_east.longitude]
                    .into_iter()
                    .flat_map(|longitude| {
                        [south_west.latitude, north_east.latitude]
                            .map(|latitude| center.distance_m(Point { longitude, latitude }))
                    })
                    .fold(0.0, f64::max)
            }
        }
    }
}

fn bounds_of(vertices: &[Point]) -> Bounds {
    let fold = |of: fn(&Point) -> f64, start: f64, pick: fn(f64, f64) -> f64| {
        vertices.iter().map(of).fold(start, pick)
    };
    let (longitude, latitude) = (|point: &Point| point.longitude, |point: &Point| point.latitude);
    Bounds {
        south_west: Point {
            longitude: fold(longitude, LONGITUDE_MAX, f64::min),
            latitude: fold(latitude, LATITUDE_MAX, f64::min),
        },
        north_east: Point {
            longitude: fold(longitude, -LONGITUDE_MAX, f64::max),
            latitude: fold(latitude, -LATITUDE_MAX, f64::max),
        },
    }
}

/// The resolution at which nine rectangles cover what reaches so far.
fn step_for(reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut reach_m) = (1, reach_m);
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        step += 1;
    }
    // One step for the neighbours, one for what the estimate leaves out, and some near the poles,
    // where rectangles are narrow.
    let polar = i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    (step - 2 - polar).clamp(1, STEP_MAX as i32) as u32
}

impl Search {
    /// Prepares the search for what lies within a shape, whose points are valid.
    pub fn new(shape: Shape) -> Self {
        let (center, bounds) = (shape.center(), shape.bounds());
        let Bounds { south_west, north_east } = bounds;
        let mut step = step_for(shape.reach_m(center, bounds), center.latitude);
        // That of a polygon around a pole may be beyond the grid.
        let latitude = center.latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX);
        let anchor = Point { latitude, ..center };
        let cell = Cell::of(anchor, step);
        let (_, north) = cell.neighbour(1, 0).corners();
        let (south, _) = cell.neighbour(-1, 0).corners();
        let (_, east) = cell.neighbour(0, 1).corners();
        let (west, _) = cell.neighbour(0, -1).corners();
        let is_too_fine = north.latitude < north_east.latitude
            || south.latitude > south_west.latitude
            || east.longitude < north_east.longitude
            || west.longitude > south_west.longitude;
        if step > 1 && is_too_fine {
            step -= 1;
        }
        let cell = Cell::of(anchor, step);
        let (low, high) = cell.corners();
        // At the coarsest resolution neighbours meet on the other side.
        let is_reached = |(north, east): (i32, i32)| {
            step < 2
                || !((north < 0 && low.latitude < south_west.latitude)
                    || (north > 0 && high.latitude > north_east.latitude)
                    || (east < 0 && low.longitude < south_west.longitude)
                    || (east > 0 && high.longitude > north_east.longitude))
        };
        let mut cells = ArrayVec::new();
        cells.push(cell);
        for (north, east) in NEIGHBOURS.into_iter().filter(|by| is_reached(*by)) {
            let next = cell.neighbour(north, east);
            // Where there are few rectangles, one may be the neighbour on several sides.
            if cells.len() == 1 || cells.last() != Some(&next) {
                cells.push(next);
            }
        }
        Search { shape, center, cells }
    }

    /// The ranges of scores to look at, each from the first to before the second, in order. They
    /// may overlap where rectangles are very large.
    pub fn ranges(&self) -> impl Iterator<Item = (f64, f64)> {
        self.cells.iter().map(|cell| cell.scores())
    }

    /// The distance in metres from the centre, if the point lies within the shape.
    pub fn distance_m(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius, unit_m, .. } => {
                let distance_m = self.center.distance_m(point);
                (distance_m <= radius * unit_m).then_some(distance_m)
            }
            Shape::Box { width, height, unit_m, .. } => {
                let along = Point { longitude: self.center.longitude, ..point };
                let is_within = point.latitude_distance_m(self.center) <= height * unit_m / 2.0
                    && point.distance_m(along) <= width * unit_m / 2.0;
                is_within.then(|| self.center.distance_m(point))
            }
            Shape::Polygon(ref vertices) => {
                is_inside(vertices, point).then(|| self.center.distance_m(point))
            }
        }
    }
}

/// Whether a line from a point to the west crosses an odd number of edges. Source: W. R. Franklin,
/// "PNPOLY - Point Inclusion in Polygon Test".
fn is_inside(vertices: &[Point], point: Point) -> bool {
    let before = vertices.iter().cycle().skip(vertices.len() - 1);
    let crosses = |(a, b): (&Point, &Point)| {
        (a.latitude > point.latitude) != (b.latitude > point.latitude)
            && point.longitude
                < (b.longitude - a.longitude) * (point.latitude - a.latitude)
                    / (b.latitude - a.latitude)
                    + a.longitude
    };
    vertices.iter().zip(before).filter(|edge| crosses(*edge)).count() % 2 == 1
}
