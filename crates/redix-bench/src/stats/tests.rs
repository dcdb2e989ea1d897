use super::*;

#[test]
fn medians() {
    assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5f64.to_bits());
    assert!(median(&[]).is_nan());
}

#[test]
fn the_interval_holds_the_median_and_widens_with_noise() {
    let steady = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0];
    let noisy = [1.0, 1.5, 0.6, 1.0, 1.9, 0.4, 1.1];
    let ones = [1.0; 7];
    let (a, b) = (Ratio::of_pairs(&steady, &ones), Ratio::of_pairs(&noisy, &ones));
    assert!(a.low <= a.median && a.median <= a.high);
    assert!(b.high - b.low > 5.0 * (a.high - a.low));
}
