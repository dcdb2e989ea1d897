use proptest::prelude::*;

use super::*;

fn point() -> impl Strategy<Value = Point> {
    let longitude = prop_oneof![
        -LONGITUDE_MAX..LONGITUDE_MAX,
        Just(LONGITUDE_MAX),
        Just(-LONGITUDE_MAX),
        -1.0..1.0,
        179.0..180.0
    ];
    let latitude = prop_oneof![
        -LATITUDE_MAX..LATITUDE_MAX,
        Just(LATITUDE_MAX),
        Just(-LATITUDE_MAX),
        -1.0..1.0,
        84.0..85.0
    ];
    (longitude, latitude).prop_map(|(longitude, latitude)| Point { longitude, latitude })
}

/// Near enough to one another that searches find something.
fn near() -> impl Strategy<Value = Point> {
    (10.0..12.0, 40.0..42.0).prop_map(|(longitude, latitude)| Point { longitude, latitude })
}

/// The members, as their scores, that the ranges of a search and its test select.
fn found(search: &Search, scores: &[u64]) -> Vec<u64> {
    let mut found = Vec::new();
    for (from, to) in search.ranges() {
        let within = scores.iter().filter(|score| (from..to).contains(&(**score as f64)));
        found.extend(
            within.filter(|score| search.distance_m(Point::of_score(**score as f64)).is_some()),
        );
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Those that the test selects of all.
fn selected(search: &Search, scores: &[u64]) -> Vec<u64> {
    let is_within = |score: &&u64| search.distance_m(Point::of_score(**score as f64)).is_some();
    let mut selected: Vec<u64> = scores.iter().filter(is_within).copied().collect();
    selected.sort_unstable();
    selected.dedup();
    selected
}

proptest! {
    #[test]
    fn numbers_are_taken_apart_as_they_were_interleaved(a in any::<u32>(), b in any::<u32>()) {
        prop_assert_eq!(separate(interleave(a, b)), (a, b));
        let naive = (0..32).fold(0_u64, |bits, place| {
            let bit = |number: u32| u64::from(number >> place & 1);
            bits | bit(a) << (2 * place) | bit(b) << (2 * place + 1)
        });
        prop_assert_eq!(interleave(a, b), naive);
    }

    /// A position is less than a smallest rectangle from that of its score, which keeps its score.
    /// At the upper ends there are no rectangles any more, and scores have more bits than doubles.
    #[test]
    fn scores_are_positions(point in point()) {
        let again = Point::of_score(point.score() as f64);
        let at_end = point.longitude == LONGITUDE_MAX || point.latitude == LATITUDE_MAX;
        let cells = if at_end { 4.0 } else { 1.0 };
        let size = |degrees: f64| cells * degrees / f64::from(1 << STEP_MAX);
        prop_assert!((again.longitude - point.longitude).abs() <= size(360.0));
        prop_assert!((again.latitude - point.latitude).abs() <= size(171.0));
        prop_assert!(at_end || again.score() == point.score());
    }

    #[test]
    fn any_score_is_a_valid_position(bits in any::<u64>()) {
        let score = f64::from_bits(bits);
        if !score.is_nan() {
            prop_assert!(Point::of_score(score).is_valid());
        }
    }

    #[test]
    fn distances_are_symmetric_and_those_of_chords(a in point(), b in point()) {
        let chord = |a: Point, b: Point| {
            let at = |p: Point| {
                let (lon, lat) = (radians(p.longitude), radians(p.latitude));
                [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
            };
            let square: f64 = at(a).iter().zip(at(b)).map(|(a, b)| (a - b) * (a - b)).sum();
            2.0 * EARTH_RADIUS_M * (square.sqrt() / 2.0).min(1.0).asin()
        };
        prop_assert!((a.distance_m(b) - b.distance_m(a)).abs() < 1e-3);
        prop_assert!((a.distance_m(b) - chord(a, b)).abs() < 1.0);
        prop_assert_eq!(a.distance_m(a), 0.0);
    }

    /// The rectangles that a search looks at hold all that lies within the shape.
    #[test]
    fn no_member_of_a_circle_or_box_is_missed(
        members in proptest::collection::vec(near(), 1..100),
        center in near(),
        size in prop_oneof![0.0..200.0, 0.0..5.0],
        height in 0.0..200.0,
    ) {
        let scores: Vec<u64> = members.iter().map(|member| member.score()).collect();
        let shapes = [
            Shape::Circle { center, radius: size, unit_m: 1000.0 },
            Shape::Box { center, width: size, height, unit_m: 1000.0 },
        ];
        for search in shapes.map(Search::new) {
            prop_assert_eq!(found(&search, &scores), selected(&search, &scores));
        }
    }

    #[test]
    fn no_member_of_a_polygon_is_missed(
        members in proptest::collection::vec(near(), 1..100),
        vertices in proptest::collection::vec(near(), 3..8),
    ) {
        let scores: Vec<u64> = members.iter().map(|member| member.score()).collect();
        let search = Search::new(Shape::Polygon(vertices));
        prop_assert_eq!(found(&search, &scores), selected(&search, &scores));
    }

    /// A square is a polygon whose inside is easily told.
    #[test]
    fn squares_have_an_inside(point in near()) {
        let at = |longitude, latitude| Point { longitude, latitude };
        let square = [at(10.5, 40.5), at(11.5, 40.5), at(11.5, 41.5), at(10.5, 41.5)];
        let inside = (10.5..11.5).contains(&point.longitude)
            && (40.5..41.5).contains(&point.latitude);
        prop_assert_eq!(is_inside(&square, point), inside);
    }
}

/// Source: the examples in the documentation of GEODIST and GEOHASH.
#[test]
fn palermo_and_catania_are_where_they_are() {
    let palermo = Point { longitude: 13.361389, latitude: 38.115556 };
    let catania = Point { longitude: 15.087269, latitude: 37.502669 };
    assert_eq!((palermo.score(), catania.score()), (3_479_099_956_230_698, 3_479_447_370_796_909));
    let [a, b] = [palermo, catania].map(|point| Point::of_score(point.score() as f64));
    assert!((a.distance_m(b) - 166_274.151_6).abs() < 1e-4);
    assert_eq!((&a.geohash(), &b.geohash()), (b"sqc8b49rny0", b"sqdtr74hyu0"));
}
