use super::*;

#[test]
fn they_are_looked_at_again_once_they_may_have_been_released() {
    let (mut held, mut touched) = (Held::default(), Vec::new());
    let mut extent = Extent { holds: true, durable: 10, end: 20 };
    let mut taken = |held: &mut Held, extent| {
        held.take(&mut touched, extent);
        std::mem::take(&mut touched)
    };
    held.push(1);
    held.push(2);
    assert_eq!(taken(&mut held, extent), [1, 2]);
    assert!(held.is_empty());
    held.push(2);
    // The disk is stuck.
    assert!(taken(&mut held, extent).is_empty());
    held.push(3);
    assert!(taken(&mut held, extent).is_empty());
    let changes: [fn(&mut Extent); 2] = [|extent| extent.durable = 15, |extent| extent.end = 5];
    for change in changes {
        change(&mut extent);
        assert_eq!(taken(&mut held, extent), [2, 3]);
        held.push(2);
        held.push(3);
        assert!(taken(&mut held, extent).is_empty());
    }
    let before = extent;
    extent.holds = false;
    assert_eq!(taken(&mut held, extent), [2, 3]);
    // Replies waited again in between, and were not looked at meanwhile.
    held.push(2);
    assert_eq!(taken(&mut held, extent), [2]);
    held.push(2);
    assert_eq!(taken(&mut held, before), [2]);
}
