//! The table library.

use crate::engine::{Engine, Fault, Host};
use crate::number;
use crate::value::{TableRef, Value};
use crate::vm::{Args, Native, READONLY, Result};

pub(super) const FUNCTIONS: &[(&str, Native)] = &[
    ("concat", concat),
    ("foreach", foreach),
    ("foreachi", foreachi),
    ("getn", getn),
    ("insert", insert),
    ("maxn", maxn),
    ("remove", remove),
    ("setn", setn),
    ("sort", sort),
];

/// Element `at` of a table.
fn element(e: &Engine, t: TableRef, at: i64) -> Value {
    match usize::try_from(at) {
        Ok(at) => e.raw_get_index(t, at),
        Err(_) => e.raw_get(t, Value::Number(at as f64)),
    }
}

/// Stores an element. Table and value are on the stack.
fn set_element(e: &mut Engine, t: TableRef, at: i64, value: Value) -> Result<()> {
    if e.is_readonly(t) {
        return Err(e.error_text(READONLY));
    }
    let key = Value::Number(at as f64);
    if e.heap.table_set(t, &key, value).is_err() || e.collect_always {
        if !e.collect_if_worth(e.thread.extent()) {
            return Err(Fault::Memory);
        }
        e.heap.table_set(t, &key, value)?;
    }
    Ok(())
}

fn check_c_int(e: &mut Engine, args: Args, at: usize) -> Result<i64> {
    Ok(i64::from(number::to_i32(e.check_number(args, at)?)))
}

fn concat(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let separator = match e.arg(args, 1) {
        Value::Nil => None,
        _ => Some(e.check_string(args, 1)?),
    };
    let t = e.check_table(args, 0)?;
    let first = match e.arg(args, 2) {
        Value::Nil => 1,
        _ => check_c_int(e, args, 2)?,
    };
    let last = match e.arg(args, 3) {
        Value::Nil => e.length(t) as i64,
        _ => check_c_int(e, args, 3)?,
    };
    let mut out = Vec::new();
    for at in first..=last {
        match element(e, t, at) {
            Value::String(s) => {
                let text = e.heap.strings.bytes(s);
                if out.len() + text.len() > out.capacity() {
                    e.heap.budget.check(out.capacity() * 2 + text.len())?;
                }
                out.extend_from_slice(text);
            }
            Value::Number(n) => number::push_text(&mut out, n),
            other => {
                let kind = other.type_name();
                let message = format!("invalid value ({kind}) at index {at} in table for 'concat'");
                return Err(e.error_at(1, message.as_bytes()));
            }
        }
        if at != last
            && let Some(separator) = separator
        {
            let text = e.heap.strings.bytes(separator);
            if out.len() + text.len() > out.capacity() {
                e.heap.budget.check(out.capacity() * 2 + text.len())?;
            }
            out.extend_from_slice(text);
        }
        if at % 16 == 0 {
            e.spend(host, 2)?;
        }
    }
    e.spend(host, out.len() / 64)?;
    e.give_vec(out)
}

fn foreach(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let function = e.check_function(args, 1)?;
    let mut last = Value::Nil;
    let top = e.thread.top;
    loop {
        let table = e.heap.table(t);
        let Some(cursor) = table.cursor_after(&last, &e.heap.strings) else {
            return Err(e.error_at(1, b"invalid key to 'next'"));
        };
        let Some((at, key, value)) = table.pair_at(cursor) else { return Ok(0) };
        e.spend(host, 1 + (at - cursor) / 16)?;
        // The key stays on the stack while the function runs.
        e.push(key)?;
        let result = e.call_value(host, function, &[key, value])?;
        e.thread.top = top;
        if !result.is_nil() {
            return e.give(result);
        }
        last = key;
    }
}

fn foreachi(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let function = e.check_function(args, 1)?;
    for at in 1..=e.length(t) {
        let value = e.raw_get_index(t, at);
        let result = e.call_value(host, function, &[Value::Number(at as f64), value])?;
        if !result.is_nil() {
            return e.give(result);
        }
    }
    Ok(0)
}

fn getn(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let length = e.length(t);
    e.give(Value::Number(length as f64))
}

fn maxn(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let mut largest = 0.0_f64;
    let mut cursor = 0;
    while let Some((next, key, _)) = e.pair_at(t, cursor) {
        if let Value::Number(n) = key {
            largest = largest.max(n);
        }
        if next % 16 == 0 {
            e.spend(host, 1)?;
        }
        cursor = next;
    }
    e.give(Value::Number(largest))
}

fn setn(e: &mut Engine, _: &mut dyn Host, args: Args) -> Result<usize> {
    e.check_table(args, 0)?;
    Err(e.error_at(1, b"'setn' is obsolete"))
}

fn insert(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let mut end = e.length(t) as i64 + 1;
    let (at, value) = match args.count {
        2 => (end, e.arg(args, 1)),
        3 => {
            let at = check_c_int(e, args, 1)?;
            (at, e.arg(args, 2))
        }
        _ => return Err(e.error_at(1, b"wrong number of arguments to 'insert'")),
    };
    end = end.max(at);
    // What moves within the array moves at once.
    let elements = e.heap.table(t).array().len() as i64;
    if at >= 1 && at < end && end == elements + 1 && !e.is_readonly(t) {
        e.spend(host, (end - at) as usize / 256)?;
        let last = element(e, t, end - 1);
        set_element(e, t, end, last)?;
        let array = e.heap.table_mut(t).array_mut();
        array.copy_within(at as usize - 1..end as usize - 2, at as usize);
        array[at as usize - 1] = value;
        return Ok(0);
    }
    while end > at {
        let value = element(e, t, end - 1);
        set_element(e, t, end, value)?;
        end -= 1;
        if end % 16 == 0 {
            e.spend(host, 24)?;
        }
    }
    set_element(e, t, at, value)?;
    Ok(0)
}

fn remove(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let end = e.length(t) as i64;
    let at = match e.arg(args, 1) {
        Value::Nil => end,
        _ => check_c_int(e, args, 1)?,
    };
    if at < 1 || at > end {
        return Ok(0);
    }
    let removed = element(e, t, at);
    e.push(removed)?;
    let elements = e.heap.table(t).array().len() as i64;
    if end <= elements && !e.is_readonly(t) {
        e.spend(host, (end - at) as usize / 256)?;
        let array = e.heap.table_mut(t).array_mut();
        array.copy_within(at as usize..end as usize, at as usize - 1);
    } else {
        for at in at..end {
            let value = element(e, t, at + 1);
            set_element(e, t, at, value)?;
            if at % 16 == 0 {
                e.spend(host, 24)?;
            }
        }
    }
    set_element(e, t, end, Value::Nil)?;
    Ok(1)
}

fn sort(e: &mut Engine, host: &mut dyn Host, args: Args) -> Result<usize> {
    let t = e.check_table(args, 0)?;
    let length = e.length(t) as i64;
    let comparator = match e.arg(args, 1) {
        Value::Nil => Value::Nil,
        _ => e.check_function(args, 1)?,
    };
    let mut sorter = Sorter { e, host, t, comparator };
    sorter.sort(1, length)?;
    Ok(0)
}

/// Quicksort with the median of three, which makes the comparisons of C's library in their order:
/// comparators with side effects, or that are no order, behave the same.
struct Sorter<'a> {
    e: &'a mut Engine,
    host: &'a mut dyn Host,
    t: TableRef,
    comparator: Value,
}

impl Sorter<'_> {
    fn less(&mut self, a: Value, b: Value) -> Result<bool> {
        self.e.spend(self.host, 1)?;
        if !self.comparator.is_nil() {
            return Ok(self.e.call_value(self.host, self.comparator, &[a, b])?.truthy());
        }
        match self.e.try_less(self.host, a, b)? {
            Some(less) => Ok(less),
            None => {
                let message = crate::vm::compare_message(&a, &b);
                Err(self.e.error_text(message.as_bytes()))
            }
        }
    }

    fn get(&self, at: i64) -> Value {
        element(self.e, self.t, at)
    }

    fn set(&mut self, at: i64, value: Value) -> Result<()> {
        set_element(self.e, self.t, at, value)
    }

    /// Swaps two elements if the second is less than the first; true if it was.
    fn order(&mut self, first: i64, second: i64) -> Result<bool> {
        let (a, b) = (self.get(first), self.get(second));
        let top = self.e.thread.top;
        // The comparator may take them out of the table.
        self.e.push(a)?;
        self.e.push(b)?;
        let swap = self.less(b, a)?;
        if swap {
            self.set(first, b)?;
            self.set(second, a)?;
        }
        self.e.thread.top = top;
        Ok(swap)
    }

    fn sort(&mut self, mut low: i64, mut high: i64) -> Result<()> {
        while low < high {
            self.order(low, high)?;
            if high - low == 1 {
                break;
            }
            let middle = low.midpoint(high);
            if !self.order(low, middle)? {
                self.order(middle, high)?;
            }
            if high - low == 2 {
                break;
            }
            let split = self.partition(low, middle, high)?;
            // The smaller part recurses: depth is logarithmic.
            if split - low < high - split {
                self.sort(low, split - 1)?;
                low = split + 1;
            } else {
                self.sort(split + 1, high)?;
                high = split - 1;
            }
        }
        Ok(())
    }

    fn partition(&mut self, low: i64, middle: i64, high: i64) -> Result<i64> {
        let top = self.e.thread.top;
        let pivot = self.get(middle);
        self.e.push(pivot)?;
        let before = self.get(high - 1);
        self.e.push(before)?;
        self.set(middle, before)?;
        self.set(high - 1, pivot)?;
        let (mut i, mut j) = (low, high - 1);
        loop {
            i += 1;
            let mut left = self.get(i);
            while self.less_held(left, pivot)? {
                if i > high {
                    return Err(self.invalid_order());
                }
                i += 1;
                left = self.get(i);
            }
            j -= 1;
            let mut right = self.get(j);
            while self.less_held(pivot, right)? {
                if j < low {
                    return Err(self.invalid_order());
                }
                j -= 1;
                right = self.get(j);
            }
            // The comparator may have changed them.
            if j < i {
                break;
            }
            self.put(i, right, j, left)?;
        }
        let (a, b) = (self.get(high - 1), self.get(i));
        self.put(high - 1, b, i, a)?;
        self.e.thread.top = top;
        Ok(i)
    }

    /// Stores two values that may be nowhere else.
    fn put(&mut self, first: i64, a: Value, second: i64, b: Value) -> Result<()> {
        let top = self.e.thread.top;
        self.e.push(a)?;
        self.e.push(b)?;
        self.set(first, a)?;
        self.set(second, b)?;
        self.e.thread.top = top;
        Ok(())
    }

    /// Compares values that the comparator may take out of the table.
    fn less_held(&mut self, a: Value, b: Value) -> Result<bool> {
        let top = self.e.thread.top;
        self.e.push(a)?;
        self.e.push(b)?;
        let less = self.less(a, b)?;
        self.e.thread.top = top;
        Ok(less)
    }

    fn invalid_order(&mut self) -> Fault {
        self.e.error_at(1, b"invalid order function for sorting")
    }
}
