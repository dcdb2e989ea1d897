//! Statistics of an RDB file: for each database and type how many keys there are, and how large.
//!
//! An element of a sorted set is its member and the text of its score, one of a hash a field and
//! its value, one of a stream the fields and values of an entry. Sizes are in bytes. Names and
//! forms are those of `valkey-check-rdb --stats`, which counts the elements of some encodings in
//! another way: both halves of a pair for themselves, or none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use redix_types::hash::HashRef;
use redix_types::list::ListRef;
use redix_types::listpack::Element;
use redix_types::num::{i64_len, push_f64};
use redix_types::set::SetRef;
use redix_types::stream::{Stream, StreamId};
use redix_types::value::Kind;
use redix_types::zset::ZsetRef;

use crate::rdb::format::{RdbString, RdbValue};
use crate::rdb::read::KeyRecord;

/// The columns. Values of modules cannot be loaded, so that there are none.
const TYPES: [(&str, Option<Kind>); 7] = [
    ("string", Some(Kind::String)),
    ("list", Some(Kind::List)),
    ("set", Some(Kind::Set)),
    ("zset", Some(Kind::Zset)),
    ("hash", Some(Kind::Hash)),
    ("module", None),
    ("stream", Some(Kind::Stream)),
];

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Columns separated by tabs, padded.
    Table,
    /// One value a line.
    Info,
    /// Columns separated by commas.
    Csv,
}

impl Form {
    /// By its name on the command line.
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"table" => Some(Self::Table),
            b"info" => Some(Self::Info),
            b"csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// What is in a file. Memory is in proportion to the number of its databases.
pub struct Stats {
    databases: BTreeMap<u32, [OfType; TYPES.len()]>,
}

/// What a database has of one type.
#[derive(Default)]
struct OfType {
    expire_keys: u64,
    already_expired: u64,
    keys_size: u64,
    /// The elements of each key.
    counts: Histogram,
    /// The bytes of each element.
    sizes: Histogram,
}

impl Default for Stats {
    /// Of an empty file: the first database is always listed.
    fn default() -> Self {
        Self { databases: BTreeMap::from([(0, Default::default())]) }
    }
}

impl Stats {
    /// Takes a key.
    pub fn add(&mut self, record: &KeyRecord<'_>, expired: bool) {
        let kind = match &record.value {
            RdbValue::Str(_) => Kind::String,
            RdbValue::Collection(value) => value.kind(),
        };
        let types = self.databases.entry(record.db).or_default();
        let column = TYPES.iter().position(|(_, of)| *of == Some(kind));
        let of = &mut types[column.expect("every kind has a column")];
        of.expire_keys += u64::from(record.expire_at_ms.is_some());
        of.already_expired += u64::from(expired);
        of.keys_size += record.key.len() as u64;
        let mut elements = 0;
        for_each_size(&record.value, &mut |size| {
            elements += 1;
            of.sizes.add(size as u64);
        });
        of.counts.add(elements);
    }

    /// Writes them.
    pub fn write_to(&self, form: Form, out: &mut dyn Write) -> io::Result<()> {
        for (db, types) in &self.databases {
            let names = TYPES.map(|(name, _)| name.to_owned());
            if form != Form::Info {
                write_row(form, *db, "type.name", &names, out)?;
            }
            for (name, cell) in ROWS {
                write_row(form, *db, name, &types.each_ref().map(cell), out)?;
            }
        }
        Ok(())
    }
}

/// A value of a row, as text.
type Cell = fn(&OfType) -> String;

/// The rows.
const ROWS: [(&str, Cell); 17] = [
    ("keys.total", |of| of.counts.len.to_string()),
    ("expire_keys.total", |of| of.expire_keys.to_string()),
    ("already_expired.total", |of| of.already_expired.to_string()),
    ("keys.size", |of| of.keys_size.to_string()),
    ("keys.value_size", |of| of.sizes.sum.to_string()),
    ("elements.total", |of| of.counts.sum.to_string()),
    ("elements.size", |of| of.sizes.sum.to_string()),
    ("elements.num.max", |of| of.counts.max.to_string()),
    ("elements.num.avg", |of| of.counts.average()),
    ("elements.num.p99", |of| of.counts.percentile(99)),
    ("elements.num.p90", |of| of.counts.percentile(90)),
    ("elements.num.p50", |of| of.counts.percentile(50)),
    ("elements.size.max", |of| of.sizes.max.to_string()),
    ("elements.size.avg", |of| of.sizes.average()),
    ("elements.size.p99", |of| of.sizes.percentile(99)),
    ("elements.size.p90", |of| of.sizes.percentile(90)),
    ("elements.size.p50", |of| of.sizes.percentile(50)),
];

fn write_row(
    form: Form,
    db: u32,
    name: &str,
    cells: &[String; TYPES.len()],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut line = String::new();
    match form {
        Form::Info => {
            for ((kind, _), cell) in TYPES.iter().zip(cells) {
                writeln!(line, "[info] db.{db}.type.{kind}.{name}:{cell}")
                    .expect("a string takes everything");
            }
        }
        Form::Csv => line = format!("db.{db}.{name},{}\n", cells.join(",")),
        Form::Table => {
            let cells = cells.each_ref().map(|cell| format!("{cell:<5}"));
            line = format!("{:<30}\t{}\n", format!("db.{db}.{name}"), cells.join("\t"));
        }
    }
    out.write_all(line.as_bytes())
}

/// Calls `f` with the size in bytes of each element of a value.
fn for_each_size(value: &RdbValue<'_>, f: &mut dyn FnMut(usize)) {
    let value = match value {
        RdbValue::Str(RdbString::Int(number)) => return f(i64_len(*number)),
        RdbValue::Str(RdbString::Bytes(bytes)) => return f(bytes.len()),
        RdbValue::Collection(value) => value,
    };
    let view = value.as_ref();
    match value.kind() {
        Kind::String => f(view.string_len()),
        Kind::List => ListRef::of(view).iter_all().for_each(|element| f(element.text_len())),
        Kind::Set => {
            let set = SetRef::of(view).expect("its kind is that of a set");
            set.for_each(|element| f(element.text_len()));
        }
        Kind::Zset => {
            let zset = ZsetRef::of(view).expect("its kind is that of a sorted set");
            let mut score = Vec::new();
            for (member, number) in zset.iter() {
                score.clear();
                push_f64(&mut score, number);
                f(member.text_len() + score.len());
            }
        }
        Kind::Hash => {
            HashRef::of(view).for_each(|(field, value)| f(field.text_len() + value.text_len()));
        }
        Kind::Stream => {
            let stream = Stream::of(view).expect("its kind is that of a stream");
            for entry in stream.range(StreamId::MIN, StreamId::MAX) {
                f(entry.parts().map(Element::text_len).sum());
            }
        }
    }
}

/// How often each value occurs. Values are kept to three digits, as those of an HDR histogram with
/// this precision, which bounds the memory.
#[derive(Default)]
struct Histogram {
    len: u64,
    sum: u64,
    max: u64,
    occurs: BTreeMap<u64, u64>,
}

/// Values with as many significant bits are kept as they are.
const EXACT_BITS: u32 = 11;

impl Histogram {
    fn add(&mut self, value: u64) {
        self.len += 1;
        self.sum += value;
        self.max = self.max.max(value);
        let dropped = (u64::BITS - value.leading_zeros()).saturating_sub(EXACT_BITS);
        // The largest value with the same leading bits.
        *self.occurs.entry(value | ((1 << dropped) - 1)).or_default() += 1;
    }

    fn average(&self) -> String {
        format!("{:.2}", if self.len == 0 { 0.0 } else { self.sum as f64 / self.len as f64 })
    }

    /// The least value that is not exceeded by this percentage of the values.
    fn percentile(&self, percentage: u64) -> String {
        // Rounded to the nearest whole number of values.
        let wanted = ((u128::from(self.len) * u128::from(percentage) + 50) / 100).max(1);
        let mut seen = 0;
        let found = self.occurs.iter().find(|(_, count)| {
            seen += u128::from(**count);
            seen >= wanted
        });
        format!("{}.00", found.map_or(0, |(value, _)| *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[u64], average: &str, percentiles: [&str; 3]) {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.add(*value));
        assert_eq!(histogram.average(), average, "{values:?}");
        assert_eq!([50, 90, 99].map(|p| histogram.percentile(p)), percentiles, "{values:?}");
    }

    /// What valkey-check-rdb 9.1.2 says about such values.
    #[test]
    fn histograms_are_those_of_valkey() {
        check(&[], "0.00", ["0.00"; 3]);
        check(&[8, 24], "16.00", ["8.00", "24.00", "24.00"]);
        check(&[5, 1, 1], "2.33", ["1.00", "5.00", "5.00"]);
        check(&[5001, 10001, 100_002], "38334.67", ["10007.00", "100031.00", "100031.00"]);
        check(&[2047, 2048, 4096], "2730.33", ["2049.00", "4099.00", "4099.00"]);
        check(&[u64::MAX >> 1], "9223372036854775808.00", ["9223372036854775807.00"; 3]);
    }
}
