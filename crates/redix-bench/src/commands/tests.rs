use super::*;

#[test]
fn the_requests_of_a_cell_have_one_length() {
    for cell in CELLS {
        if let Work::Requests(lines, request) = cell.work {
            // It asserts so.
            let requests = Requests::made(2000, lines, |rng, _, out| request(rng, out));
            assert_eq!(requests.reply_lines(), Some(lines), "{}", cell.name);
        }
        assert!(cell.ops.is_multiple_of(DEPTH * 10), "{}: --quick does a tenth", cell.name);
    }
}
