//! Which locks sorting needs.

use super::*;
use crate::command::args::OwnedArgs;

fn locks(name: &str, arguments: &str) -> Locks {
    let spec = COMMANDS.iter().find(|spec| spec.name == name).unwrap();
    let words: Vec<&str> = [name, "key"].into_iter().chain(arguments.split_whitespace()).collect();
    spec.locks_for(OwnedArgs::from_words(&words).args())
}

#[test]
fn only_patterns_that_lead_to_other_keys_need_the_world() {
    for arguments in ["", "ALPHA DESC", "LIMIT 0 10", "BY nosort", "BY w_* BY nosort", "GET #"] {
        assert_eq!(locks("sort", arguments), Locks::Keys, "{arguments}");
        assert_eq!(locks("sort_ro", arguments), Locks::Keys, "{arguments}");
    }
    assert_eq!(locks("sort", "STORE destination"), Locks::Keys);
    for arguments in ["BY w_*", "GET w_*", "GET # GET w_*->field", "BY nosort GET constant"] {
        assert_eq!(locks("sort", arguments), Locks::World, "{arguments}");
        assert_eq!(locks("sort_ro", arguments), Locks::World, "{arguments}");
    }
}

#[test]
fn what_is_refused_touches_nothing_but_its_keys() {
    assert_eq!(locks("sort_ro", "BY w_* STORE destination"), Locks::Keys);
    assert_eq!(locks("sort", "BY w_* LIMIT 0"), Locks::Keys);
}
