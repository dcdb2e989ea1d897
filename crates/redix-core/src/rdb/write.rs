//! Writing RDB: bytes are appended to memory, the caller moves them to a file or socket.
//!
//! There are two layers. [`RecordEncoder`] turns one key with its value into a *record*, and one
//! value into a DUMP payload; it has no position in a file, so that a worker can encode the
//! pre-image of an entry that the saver appends later. [`RdbEncoder`] is the file around the
//! records: header, databases, end and checksum.
//!
//! How the value of each type is written is in [`types`].
//!
//! **Invariants.** What was appended is never changed, so pending bytes may be drained at any
//! time. The checksum covers every byte before it, in order, each once.
//!
//! ```text
//! let mut file = RdbEncoder::new(options);
//! file.info(&info);
//! file.select_db(0);
//! file.resize_db(keys, expires);
//! for each key { file.entry(key, meta, value); if file.pending().len() > 64 KB { write, drain } }
//! file.eof();
//! ```

use redix_types::value::ValueRef;

use super::format::{Checksum, WriteVersion, encoding, opcode};
use super::lzf::Compressor;
use super::{idempotence, types};

/// Strings up to this length are not worth compressing.
const COMPRESS_LEN_MIN: usize = 21;
/// The length of the longest decimal text of a 32-bit integer.
const INT_TEXT_LEN_MAX: usize = 11;

/// The encoding options that the configuration sets.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// The version to write.
    pub version: WriteVersion,
    /// Whether long strings are compressed (`rdbcompression`).
    pub compression: bool,
    /// Whether the file ends with its checksum or with zero (`rdbchecksum`).
    pub checksum: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { version: WriteVersion::V11, compression: true, checksum: true }
    }
}

/// The eviction policy's data about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleOrFreq {
    /// Seconds since the last access (LRU policies).
    IdleSeconds(u64),
    /// The logarithmic access counter (LFU policies).
    Freq(u8),
}

/// The metadata stored with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryMeta {
    /// Milliseconds since the Unix epoch.
    pub expire_at_ms: Option<i64>,
    /// Written only under a policy that uses it.
    pub lru: Option<IdleOrFreq>,
}

/// The metadata of a file.
#[derive(Clone, Debug)]
pub struct FileInfo<'a> {
    /// As INFO's `redis_version`.
    pub server_version: &'a str,
    /// Seconds since the Unix epoch.
    pub created_at_s: u64,
    /// Bytes in use when the snapshot was cut.
    pub used_memory: u64,
    /// The position of the snapshot in a replication stream.
    pub replication: Option<ReplicationInfo<'a>>,
    /// Whether an append-only file follows.
    pub aof_base: bool,
}

/// A position in a replication stream.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationInfo<'a> {
    /// The database selected in the stream.
    pub stream_db: u32,
    /// The replication id: forty hexadecimal digits.
    pub id: &'a str,
    /// The offset: bytes of the stream that the snapshot contains.
    pub offset: i64,
}

/// Takes the part of a long record that has been written so far.
pub type Flush<'f> = dyn FnMut(&mut Vec<u8>) + 'f;

/// Bytes of a long record written before they are flushed.
const FLUSH_BYTES: usize = 64 << 10;

/// Flushes the written part of a long record if it is large enough.
#[inline]
pub(super) fn flush_full(out: &mut Vec<u8>, flush: &mut Flush<'_>) {
    if out.len() >= FLUSH_BYTES {
        flush(out);
    }
}

/// Encodes single records and DUMP payloads.
pub struct RecordEncoder {
    /// The version, which determines the types.
    pub(super) version: WriteVersion,
    compression: bool,
    /// Allocated at the first string to compress.
    compressor: Option<Compressor>,
}

impl RecordEncoder {
    /// `compression` as in [`WriteOptions`].
    pub fn new(version: WriteVersion, compression: bool) -> Self {
        Self { version, compression, compressor: None }
    }

    /// An encoder for the records of a file.
    pub fn of(options: WriteOptions) -> Self {
        Self::new(options.version, options.compression)
    }

    /// Appends the record of one key: metadata, type, key and value.
    // HOT PATH: once per key of a snapshot; allocates only to grow `out`.
    pub fn entry(&mut self, out: &mut Vec<u8>, key: &[u8], meta: EntryMeta, value: ValueRef<'_>) {
        self.long_entry(out, key, meta, value, &mut |_| {});
    }

    /// As [`RecordEncoder::entry`], for a value that may be large: `flush` may take what has been
    /// written so far, so that the record need never be in memory as a whole.
    pub fn long_entry(
        &mut self,
        out: &mut Vec<u8>,
        key: &[u8],
        meta: EntryMeta,
        value: ValueRef<'_>,
        flush: &mut Flush<'_>,
    ) {
        idempotence::encode(self, out, value, flush);
        if let Some(at_ms) = meta.expire_at_ms {
            out.push(opcode::EXPIRETIME_MS);
            out.extend_from_slice(&at_ms.to_le_bytes());
        }
        match meta.lru {
            Some(IdleOrFreq::IdleSeconds(seconds)) => {
                out.push(opcode::IDLE);
                encode_len(out, seconds);
            }
            Some(IdleOrFreq::Freq(counter)) => out.extend_from_slice(&[opcode::FREQ, counter]),
            None => {}
        }
        out.push(types::type_byte(value, self.version));
        self.string(out, key);
        types::encode(self, out, value, flush);
    }

    /// The encoded length of a value, without its type byte.
    pub fn encoded_len(&mut self, value: ValueRef<'_>) -> usize {
        let mut out = Vec::new();
        types::encode(self, &mut out, value, &mut |_| {});
        out.len()
    }

    /// A DUMP payload: type, value, version (2 bytes) and a CRC-64 over all before it. The version
    /// is a later one where the value needs it.
    pub fn dump(&mut self, value: ValueRef<'_>) -> Vec<u8> {
        let version = self.version.able(types::has_expiring_fields(value));
        let configured = std::mem::replace(&mut self.version, version);
        let mut out = vec![types::type_byte(value, version)];
        types::encode(self, &mut out, value, &mut |_| {});
        self.version = configured;
        seal(&mut out, version);
        out
    }

    /// A payload of FUNCTION DUMP: the sources of libraries, then as [`Self::dump`].
    pub fn dump_functions<'s>(&mut self, sources: impl Iterator<Item = &'s [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        for source in sources {
            self.function(&mut out, source);
        }
        seal(&mut out, self.version);
        out
    }

    /// Appends the source text of a function library.
    fn function(&mut self, out: &mut Vec<u8>, source: &[u8]) {
        out.push(opcode::FUNCTION2);
        self.string(out, source);
    }

    /// Appends a string in its shortest form: as an integer, compressed, or verbatim.
    pub fn string(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        if let Some(value) = parse_int_32(bytes) {
            return encode_int(out, i64::from(value));
        }
        if bytes.len() >= COMPRESS_LEN_MIN
            && self.compression
            // Four bytes less, or the longer header eats what was saved.
            && let Some(compressed) = self
                .compressor
                .get_or_insert_default()
                .compress(bytes, bytes.len() - 4)
        {
            out.push(encoding::LZF);
            encode_len(out, compressed.len() as u64);
            encode_len(out, bytes.len() as u64);
            return out.extend_from_slice(compressed);
        }
        encode_raw(out, bytes);
    }
}

/// Appends the version and the checksum of a payload.
fn seal(payload: &mut Vec<u8>, version: WriteVersion) {
    payload.extend_from_slice(&version.number().to_le_bytes());
    let checksum = Checksum::of(payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
}

/// Writes one file.
pub struct RdbEncoder {
    records: RecordEncoder,
    out: Vec<u8>,
    /// How many bytes of `out` are in the checksum.
    summed: usize,
    checksum: Option<Checksum>,
}

impl RdbEncoder {
    /// Starts a file: nine bytes are pending.
    pub fn new(options: WriteOptions) -> Self {
        Self {
            records: RecordEncoder::of(options),
            out: options.version.magic().into_bytes(),
            summed: 0,
            checksum: options.checksum.then(Checksum::new),
        }
    }

    /// Appends the metadata of the file, under the names that Redis uses.
    pub fn info(&mut self, info: &FileInfo<'_>) {
        let mut int = itoa::Buffer::new();
        self.aux(b"redis-ver", info.server_version.as_bytes());
        self.aux(b"redis-bits", b"64");
        self.aux(b"ctime", int.format(info.created_at_s).as_bytes());
        self.aux(b"used-mem", int.format(info.used_memory).as_bytes());
        if let Some(replication) = &info.replication {
            self.aux(b"repl-stream-db", int.format(replication.stream_db).as_bytes());
            self.aux(b"repl-id", replication.id.as_bytes());
            self.aux(b"repl-offset", int.format(replication.offset).as_bytes());
        }
        self.aux(b"aof-base", if info.aof_base { b"1" } else { b"0" });
    }

    /// Appends one metadata field; readers skip unknown ones.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.out.push(opcode::AUX);
        self.records.string(&mut self.out, name);
        self.records.string(&mut self.out, value);
    }

    /// Appends the source text of a function library.
    pub fn function(&mut self, source: &[u8]) {
        self.records.function(&mut self.out, source);
    }

    /// Selects the database of the following keys; may be repeated.
    pub fn select_db(&mut self, db: u32) {
        encode_select_db(&mut self.out, db);
    }

    /// Appends the size hint of the selected database: its keys, and those with an expiry.
    pub fn resize_db(&mut self, keys: u64, expires: u64) {
        self.out.push(opcode::RESIZEDB);
        encode_len(&mut self.out, keys);
        encode_len(&mut self.out, expires);
    }

    /// Appends one key of the selected database.
    pub fn entry(&mut self, key: &[u8], meta: EntryMeta, value: ValueRef<'_>) {
        self.records.entry(&mut self.out, key, meta, value);
    }

    /// Appends one key whose value may be large, passing bytes to `write` as they are encoded;
    /// stops at an error of `write`. Some bytes may be left pending.
    pub fn long_entry<E>(
        &mut self,
        key: &[u8],
        meta: EntryMeta,
        value: ValueRef<'_>,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { records, out, summed, checksum } = self;
        let mut outcome = Ok(());
        records.long_entry(out, key, meta, value, &mut |out| {
            if let Some(checksum) = checksum {
                checksum.update(&out[*summed..]);
            }
            *summed = 0;
            if outcome.is_ok() {
                outcome = write(out);
            }
            out.clear();
        });
        outcome
    }

    /// Appends records of a [`RecordEncoder`].
    pub fn records(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// Ends the file; nothing may be appended afterwards.
    pub fn eof(&mut self) {
        self.out.push(opcode::EOF);
        self.sum_pending();
        let checksum = self.checksum.as_ref().map_or(0, Checksum::value);
        self.out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// The bytes that were appended since the last [`RdbEncoder::drain`].
    pub fn pending(&self) -> &[u8] {
        &self.out
    }

    /// Drops the pending bytes, which the caller has written; keeps the capacity.
    pub fn drain(&mut self) {
        self.sum_pending();
        self.out.clear();
        self.summed = 0;
    }

    fn sum_pending(&mut self) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.out[self.summed..]);
        }
        self.summed = self.out.len();
    }
}

/// Appends SELECTDB to records that are encoded apart from their file.
pub fn encode_select_db(out: &mut Vec<u8>, db: u32) {
    out.push(opcode::SELECTDB);
    encode_len(out, u64::from(db));
}

/// Appends a length in 1, 2, 5 or 9 bytes.
pub(super) fn encode_len(out: &mut Vec<u8>, len: u64) {
    if len < 1 << 6 {
        out.push(len as u8);
    } else if len < 1 << 14 {
        out.extend_from_slice(&(len as u16 | u16::from(encoding::LEN_14) << 14).to_be_bytes());
    } else if let Ok(len) = u32::try_from(len) {
        out.push(encoding::LEN_32);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(encoding::LEN_64);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

/// Appends an integer in 2, 3 or 5 bytes, or as text if it needs more than 32 bits.
pub(super) fn encode_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[encoding::INT_8, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(encoding::INT_16);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(encoding::INT_32);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        encode_raw(out, itoa::Buffer::new().format(value).as_bytes());
    }
}

fn encode_raw(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_len(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The 32-bit integer whose canonical text this is: no plus sign, no leading zero, no `-0`.
fn parse_int_32(text: &[u8]) -> Option<i32> {
    if text.is_empty() || text.len() > INT_TEXT_LEN_MAX {
        return None;
    }
    let (digits, sign) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    match digits {
        [b'0'] if sign == 1 => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    i32::try_from(value * sign).ok()
}

#[cfg(test)]
mod tests;
