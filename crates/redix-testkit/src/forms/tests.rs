//! Random input; `REDIX_FORMS_SEED` sets the first seed.

use super::*;
use crate::rng::Rng;

#[test]
fn replies_do_not_depend_on_the_form() {
    let seed = std::env::var("REDIX_FORMS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(1);
    let mut succeeded = vec![0; templates().len()];
    for seed in seed..seed + 500 {
        let mut rng = Rng::new(seed);
        let input: Vec<u8> = (0..2500).map(|_| rng.next_u64() as u8).collect();
        let counts =
            run(&input).unwrap_or_else(|error| panic!("REDIX_FORMS_SEED={seed}: {error:?}"));
        succeeded.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let never = templates().iter().zip(&succeeded).filter(|(_, count)| **count == 0);
    let never: Vec<_> = never.map(|(template, _)| template).collect();
    assert!(never.is_empty(), "REDIX_FORMS_SEED={seed}: never succeeded: {never:?}");
}
