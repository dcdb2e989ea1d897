use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Table;
use crate::heap::Budget;
use crate::strings::Strings;
use crate::value::Value;

/// A key of the model: few enough that they meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Integer(i64),
    Half(i64),
    Name(u8),
    Long(u8),
    Boolean(bool),
}

#[derive(Clone, Debug)]
enum Step {
    Set(Key, u8),
    Clear(Key),
    Replace(Key, u8),
    Push(u8),
    PopLast,
    /// Clears every field during a traversal.
    ClearAll,
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        6 => (-2_i64..40).prop_map(Key::Integer),
        1 => (0_i64..5).prop_map(Key::Half),
        3 => (0_u8..30).prop_map(Key::Name),
        1 => (0_u8..5).prop_map(Key::Long),
        1 => any::<bool>().prop_map(Key::Boolean),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (keys(), 1_u8..).prop_map(|(key, value)| Step::Set(key, value)),
        3 => keys().prop_map(Step::Clear),
        2 => (keys(), 1_u8..).prop_map(|(key, value)| Step::Replace(key, value)),
        4 => (1_u8..).prop_map(Step::Push),
        2 => Just(Step::PopLast),
        1 => Just(Step::ClearAll),
    ];
    proptest::collection::vec(step, 0..200)
}

struct Case {
    table: Table,
    strings: Strings,
    budget: Budget,
    model: BTreeMap<Key, u8>,
}

impl Case {
    fn value(&mut self, key: &Key) -> Value {
        let text = match key {
            Key::Integer(n) => return Value::Number(*n as f64),
            Key::Half(n) => return Value::Number(*n as f64 + 0.5),
            Key::Boolean(b) => return Value::Boolean(*b),
            Key::Name(n) => format!("name{n}"),
            Key::Long(n) => format!("{n}").repeat(60),
        };
        Value::String(self.strings.new_str(text.as_bytes(), &mut self.budget).expect("room"))
    }

    fn set(&mut self, key: &Key, value: Value) {
        let key = self.value(key);
        self.table.set(&key, value, &self.strings, &mut self.budget).expect("there is room");
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Set(key, value) => {
                self.set(&key, Value::Number(f64::from(value)));
                self.model.insert(key, value);
            }
            Step::Clear(key) => {
                self.set(&key, Value::Nil);
                self.model.remove(&key);
            }
            Step::Replace(key, value) => {
                let there = self.value(&key);
                let number = Value::Number(f64::from(value));
                let replaced = self.table.replace(&there, number, &self.strings);
                assert_eq!(replaced, self.model.contains_key(&key), "{key:?}");
                self.model.entry(key).and_modify(|old| *old = value);
            }
            Step::Push(value) => {
                let at = self.table.len() as i64 + 1;
                self.set(&Key::Integer(at), Value::Number(f64::from(value)));
                self.model.insert(Key::Integer(at), value);
            }
            Step::PopLast => {
                let at = self.table.len() as i64;
                if at > 0 {
                    self.set(&Key::Integer(at), Value::Nil);
                    assert!(self.model.remove(&Key::Integer(at)).is_some(), "a border is there");
                }
            }
            Step::ClearAll => {
                let (mut key, mut seen) = (Value::Nil, 0);
                while let Some((_, next, _)) = self
                    .table
                    .cursor_after(&key, &self.strings)
                    .and_then(|cursor| self.table.pair_at(cursor))
                {
                    let Self { table, strings, budget, .. } = self;
                    table.set(&next, Value::Nil, strings, budget).expect("it only clears");
                    (key, seen) = (next, seen + 1);
                }
                assert_eq!(seen, self.model.len(), "a traversal meets every pair once");
                self.model.clear();
            }
        }
    }

    fn check(&mut self) {
        for (key, value) in self.model.clone() {
            let there = self.value(&key);
            let got = self.table.get(&there, &self.strings);
            assert!(got == Value::Number(f64::from(value)), "{key:?} is {got:?}");
            if let (Key::Name(_), Value::String(name)) = (&key, there) {
                assert!(self.table.get_short(name) == got, "{key:?}");
            }
            if let Key::Integer(at @ 1..) = key {
                assert!(self.table.get_int(at as usize, &self.strings) == got, "{key:?}");
            }
        }
        let (mut cursor, mut seen) = (0, 0);
        while let Some((next, _, value)) = self.table.pair_at(cursor) {
            assert!(!value.is_nil());
            (cursor, seen) = (next, seen + 1);
        }
        assert_eq!(seen, self.model.len());
        let border = self.table.len() as i64;
        assert!(border == 0 || self.model.contains_key(&Key::Integer(border)), "{border}");
        assert!(!self.model.contains_key(&Key::Integer(border + 1)), "{border}");
    }
}

proptest! {
    #[test]
    fn a_table_is_a_map(steps in steps()) {
        let budget = Budget { used: 0, limit: usize::MAX };
        let strings = Strings::new((1, 2));
        let model = BTreeMap::new();
        let mut case = Case { table: Table::default(), strings, budget, model };
        for step in steps {
            case.apply(step);
            case.check();
        }
    }

    #[test]
    fn a_table_is_charged_for_what_it_takes(steps in steps()) {
        let strings = Strings::new((1, 2));
        // Strings are charged elsewhere: none here, so that only the table is seen.
        let mut budget = Budget { used: 0, limit: usize::MAX };
        let mut table = Table::default();
        for step in steps {
            let (key, value) = match step {
                Step::Set(Key::Integer(key), value) => (key as f64, f64::from(value)),
                Step::Set(Key::Name(key), value) => (f64::from(key) + 0.25, f64::from(value)),
                Step::Push(value) => ((table.len() + 1) as f64, f64::from(value)),
                _ => continue,
            };
            table
                .set(&Value::Number(key), Value::Number(value), &strings, &mut budget)
                .expect("there is room");
            prop_assert_eq!(budget.used + super::OVERHEAD, table.cost());
        }
    }
}

#[test]
fn an_array_may_have_holes_while_it_is_more_than_half_full() {
    let mut budget = Budget { used: 0, limit: usize::MAX };
    let strings = Strings::new((1, 2));
    let mut table = Table::default();
    let mut set = |table: &mut Table, at: f64| {
        table
            .set(&Value::Number(at), Value::Boolean(true), &strings, &mut budget)
            .expect("there is room");
    };
    [1.0, 2.0, 4.0].iter().for_each(|at| set(&mut table, *at));
    assert_eq!(table.len(), 4);
    set(&mut table, 100.0);
    assert_eq!((table.len(), table.array().len()), (4, 4));
}

#[test]
fn a_limit_stops_growth_and_keeps_the_table() {
    let mut budget = Budget { used: 0, limit: 10_000 };
    let strings = Strings::new((1, 2));
    let mut table = Table::default();
    let mut stored = 0;
    while table
        .set(&Value::Number(f64::from(stored) + 0.5), Value::Nil, &strings, &mut budget)
        .and_then(|()| {
            let key = Value::Number(f64::from(stored) + 0.5);
            table.set(&key, Value::Boolean(true), &strings, &mut budget)
        })
        .is_ok()
    {
        stored += 1;
    }
    assert!(stored > 50 && budget.used <= 10_000, "{stored} {}", budget.used);
    for at in 0..stored {
        let key = Value::Number(f64::from(at) + 0.5);
        assert!(table.get(&key, &strings).truthy(), "{at}");
    }
}
