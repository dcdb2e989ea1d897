//! Reading RDB: a pull parser that yields one [`Event`] per part of the file.
//!
//! [`RdbReader`] reads a whole file and lends keys and values from its own buffers, so that loading
//! a short string allocates nothing here. [`DumpReader`] reads the payload of DUMP. Both decode
//! values through `decode_value`, and collections in `rdb::types`, one module per type.
//!
//! Content that cannot be loaded is an error that names it: nothing is dropped silently. Only parts
//! without data of this server are skipped, and each of them is reported as an event.
//!
//! **Invariants.** No input panics. A length is checked against a bound before anything is reserved
//! or looped for it. After an error the reader is not used again.

mod piece;

use std::io::Read;
use std::ops::Range;

use redix_types::KeyHasher;
use redix_types::value::HeapValue;

use super::format::{
    Checksum, ChecksumPolicy, RdbError, RdbErrorKind, RdbString, RdbValue, RdbVersion,
    STRING_LEN_MAX, TYPE_STRING, encoding, module_opcode, opcode, type_name,
};
use super::input::{BLOCK_LEN, Input};
use super::lzf;
use super::types;
use crate::config::{Config, Limits, RdbVersionCheck};
pub use piece::{Piece, PieceReader};

type Result<T> = std::result::Result<T, RdbErrorKind>;

/// Limits and checks of a reader.
#[derive(Clone, Copy)]
pub struct ReadOptions {
    /// Whether the checksum is computed and compared.
    pub checksums: ChecksumPolicy,
    /// The longest string that is accepted, in bytes, after decompression.
    pub string_len_max: u64,
    /// How an unknown version is treated.
    pub versions: RdbVersionCheck,
    /// The limits of compact encodings.
    pub limits: Limits,
    /// The hash function of the elements of large collections.
    pub hasher: KeyHasher,
}

impl Default for ReadOptions {
    /// Defaults for files whose values nobody keeps.
    fn default() -> Self {
        Self::new(&Config::default(), KeyHasher::new([0; 16]))
    }
}

impl ReadOptions {
    /// Full checks, with encodings as in `config`; `hasher` is that of the keyspace.
    pub fn new(config: &Config, hasher: KeyHasher) -> Self {
        Self {
            checksums: ChecksumPolicy::default(),
            string_len_max: STRING_LEN_MAX,
            versions: config.rdb_version_check,
            limits: config.limits(),
            hasher,
        }
    }
}

/// One part of a file. Borrowed data is valid until the next event.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The file starts; always the first event.
    Start(RdbVersion),
    /// A metadata field, such as `redis-ver`.
    Aux {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: RdbString<'a>,
    },
    /// The following keys belong to this database.
    SelectDb(u32),
    /// The size of the selected database when it was saved: a hint that is not trusted.
    ResizeDb {
        /// All keys.
        keys: u64,
        /// Those that expire.
        expires: u64,
    },
    /// The size of a cluster slot of the selected database: a hint that is not trusted.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// Its keys.
        keys: u64,
        /// Those that expire.
        expires: u64,
    },
    /// The source text of a function library.
    Function(&'a [u8]),
    /// Module data that belongs to no key; skipped.
    ModuleAux {
        /// The name of the module: nine characters.
        module: [u8; 9],
    },
    /// A key with its value.
    Key(KeyRecord<'a>),
    /// The end marker; bytes after it in the source are not part of the file. Always the last
    /// event, and repeated if asked for again.
    End(ChecksumOutcome),
}

/// A key as the file has it.
#[derive(Clone, Debug)]
pub struct KeyRecord<'a> {
    /// The selected database.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// Milliseconds since the Unix epoch, past or future.
    pub expire_at_ms: Option<i64>,
    /// Seconds since the last access when the file was written under an LRU policy.
    pub idle_s: Option<u64>,
    /// The access counter when the file was written under an LFU policy.
    pub freq: Option<u8>,
    /// The value.
    pub value: RdbValue<'a>,
    /// The offset of its end in the file.
    pub end: u64,
}

/// The outcome of the checksum of a complete file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumOutcome {
    /// It matches.
    Verified,
    /// The file has none: it is older than version 5, or was written with checksums off.
    Absent,
    /// It was not verified.
    Ignored,
}

/// Reads one file from its start to its end marker.
pub struct RdbReader<'s> {
    input: Input<'s>,
    decoder: Decoder,
    state: State,
    /// The offset of the last opcode or type byte.
    opcode_offset: u64,
    key: Vec<u8>,
    db: u32,
    pending: PendingMeta,
    /// How many keys were passed over because their collections are empty, and the first of them.
    empty_keys: u64,
    first_empty: Vec<Vec<u8>>,
}

/// Names kept of keys with empty collections.
pub(crate) const FIRST_EMPTY_MAX: usize = 10;

enum State {
    Start,
    Body,
    /// Inside the record of the key in `RdbReader::key`.
    Record,
    End(ChecksumOutcome),
}

/// Metadata that precedes a key.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct PendingMeta {
    expire_at_ms: Option<i64>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

/// An event before its data is borrowed from the buffers.
enum Part {
    Start(RdbVersion),
    Aux(StrSpan),
    SelectDb,
    ResizeDb { keys: u64, expires: u64 },
    SlotInfo { slot: u64, keys: u64, expires: u64 },
    Function,
    ModuleAux([u8; 9]),
    Key(PendingMeta, ValueSpan),
    End(ChecksumOutcome),
}

impl<'s> RdbReader<'s> {
    /// A reader of `source`, which is read in blocks of 256 KB and needs no buffering; more than
    /// the file may be read from it. It must block: `WouldBlock` is an error like any other.
    pub fn new(source: impl Read + Send + 's, options: ReadOptions) -> Self {
        Self::over(Input::new(Box::new(source), BLOCK_LEN, options.checksums), options)
    }

    /// A reader without a source: bytes are pushed with [`RdbReader::push`]. If they do not suffice
    /// for the next event, that is an error of kind `WouldBlock`, after which more can be pushed
    /// and the event be asked for again.
    pub fn pushed(options: ReadOptions) -> RdbReader<'static> {
        RdbReader::over(Input::pushed(options.checksums), options)
    }

    fn over(input: Input<'s>, options: ReadOptions) -> Self {
        Self {
            input,
            decoder: Decoder::new(options),
            state: State::Start,
            opcode_offset: 0,
            key: Vec::new(),
            db: 0,
            pending: PendingMeta::default(),
            empty_keys: 0,
            first_empty: Vec::new(),
        }
    }

    /// Pushes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Ends the pushed input: from now on missing bytes are an error like any other.
    pub fn end_pushing(&mut self) {
        self.input.end_pushing();
    }

    /// Whether enough was pushed, since an event was found to be incomplete, for another attempt to
    /// make sense.
    pub fn is_worth_trying(&self) -> bool {
        self.input.is_worth_trying()
    }

    /// Bytes that were pushed and are not part of any event so far.
    pub fn rest(&self) -> &[u8] {
        self.input.rest()
    }

    /// Bytes of the source consumed: for progress, and the length of the file at its end.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The next part of the file.
    pub fn next_event(&mut self) -> std::result::Result<Event<'_>, RdbError> {
        let part = match self.next_part() {
            Ok(part) => part,
            Err(kind) => {
                if is_starved(&kind) {
                    self.input.rewind();
                }
                return Err(self.error(kind));
            }
        };
        Ok(match part {
            Part::Start(version) => Event::Start(version),
            Part::Aux(value) => Event::Aux { name: &self.key, value: self.string(value) },
            Part::SelectDb => Event::SelectDb(self.db),
            Part::ResizeDb { keys, expires } => Event::ResizeDb { keys, expires },
            Part::SlotInfo { slot, keys, expires } => Event::SlotInfo { slot, keys, expires },
            Part::Function => Event::Function(&self.key),
            Part::ModuleAux(module) => Event::ModuleAux { module },
            Part::Key(meta, value) => Event::Key(self.key_record(meta, value)),
            Part::End(outcome) => Event::End(outcome),
        })
    }

    fn key_record(&self, meta: PendingMeta, value: ValueSpan) -> KeyRecord<'_> {
        KeyRecord {
            db: self.db,
            key: &self.key,
            expire_at_ms: meta.expire_at_ms,
            idle_s: meta.idle_s,
            freq: meta.freq,
            value: self.decoder.value(&self.input, value),
            end: self.input.offset(),
        }
    }

    fn string(&self, span: StrSpan) -> RdbString<'_> {
        self.decoder.string(&self.input, span)
    }

    fn error(&self, kind: RdbErrorKind) -> RdbError {
        let offset = match kind {
            RdbErrorKind::UnsupportedType { .. } | RdbErrorKind::UnknownType { .. } => {
                self.opcode_offset
            }
            _ => self.input.error_offset(&kind),
        };
        RdbError {
            offset,
            key: matches!(self.state, State::Record).then(|| self.key.clone()),
            kind,
        }
    }

    fn next_part(&mut self) -> Result<Part> {
        match self.state {
            State::Start => {
                let version =
                    RdbVersion::from_magic(self.input.array()?, self.decoder.options.versions)?;
                self.decoder.version = version;
                self.state = State::Body;
                Ok(Part::Start(version))
            }
            State::Body | State::Record => {
                self.state = State::Body;
                loop {
                    if let Some(part) = self.next_body_part()? {
                        return Ok(part);
                    }
                }
            }
            State::End(outcome) => Ok(Part::End(outcome)),
        }
    }

    /// Decodes one opcode or key. `None` for metadata of the key that follows.
    // HOT PATH: once per key that is loaded; no allocation once the buffers have grown.
    fn next_body_part(&mut self) -> Result<Option<Part>> {
        let Self { input, decoder, .. } = self;
        input.start_event();
        self.opcode_offset = input.offset();
        let byte = input.byte()?;
        Ok(Some(match byte {
            opcode::EXPIRETIME_MS => {
                self.pending.expire_at_ms = Some(i64::from_le_bytes(input.array()?));
                return Ok(None);
            }
            opcode::EXPIRETIME => {
                let seconds = i32::from_le_bytes(input.array()?);
                self.pending.expire_at_ms = Some(i64::from(seconds) * 1000);
                return Ok(None);
            }
            opcode::IDLE => {
                self.pending.idle_s = Some(decode_len(input)?);
                return Ok(None);
            }
            opcode::FREQ => {
                self.pending.freq = Some(input.byte()?);
                return Ok(None);
            }
            opcode::AUX => {
                decoder.decode_bytes_into(input, &mut self.key)?;
                Part::Aux(decoder.decode_string(input)?)
            }
            opcode::SELECTDB => {
                let db = decode_len(input)?;
                let db = i32::try_from(db).map_err(|_| corrupt("impossible database number"))?;
                self.db = db.unsigned_abs();
                Part::SelectDb
            }
            opcode::RESIZEDB => {
                Part::ResizeDb { keys: decode_len(input)?, expires: decode_len(input)? }
            }
            opcode::SLOT_INFO => Part::SlotInfo {
                slot: decode_len(input)?,
                keys: decode_len(input)?,
                expires: decode_len(input)?,
            },
            opcode::FUNCTION2 => {
                decoder.decode_bytes_into(input, &mut self.key)?;
                Part::Function
            }
            opcode::MODULE_AUX => Part::ModuleAux(skip_module_aux(input)?),
            opcode::EOF => {
                let outcome = self.check_end()?;
                self.state = State::End(outcome);
                Part::End(outcome)
            }
            type_byte => return self.key_part(type_byte),
        }))
    }

    /// A key; `None` for one whose collection is empty.
    fn key_part(&mut self, type_byte: u8) -> Result<Option<Part>> {
        if type_name(type_byte, self.decoder.version).is_none() {
            return Err(unsupported(type_byte, self.decoder.version));
        }
        self.decoder.decode_bytes_into(&mut self.input, &mut self.key)?;
        self.state = State::Record;
        let value = match self.decoder.decode_value(&mut self.input, type_byte) {
            Ok(value) => value,
            Err(RdbErrorKind::Empty) => {
                self.state = State::Body;
                self.pending = PendingMeta::default();
                self.empty_keys += 1;
                if self.first_empty.len() < FIRST_EMPTY_MAX {
                    self.first_empty.push(self.key.clone());
                }
                return Ok(None);
            }
            Err(kind) => return Err(kind),
        };
        Ok(Some(Part::Key(std::mem::take(&mut self.pending), value)))
    }

    /// How many keys were passed over because their collections are empty.
    pub fn empty_keys(&self) -> u64 {
        self.empty_keys
    }

    /// The first of these keys.
    pub fn first_empty(&self) -> &[Vec<u8>] {
        &self.first_empty
    }

    fn check_end(&mut self) -> Result<ChecksumOutcome> {
        if !self.decoder.version.has_checksum() {
            return Ok(ChecksumOutcome::Absent);
        }
        // The checksum is taken before its own bytes are consumed.
        self.input.foresee(CHECKSUM_LEN)?;
        let computed = self.input.checksum();
        self.input.start_part();
        let found = u64::from_le_bytes(self.input.array()?);
        match computed {
            None => Ok(ChecksumOutcome::Ignored),
            Some(_) if found == 0 => Ok(ChecksumOutcome::Absent),
            Some(expected) if expected == found => Ok(ChecksumOutcome::Verified),
            Some(expected) => Err(RdbErrorKind::Checksum { expected, found }),
        }
    }
}

/// The bytes of the checksum.
const CHECKSUM_LEN: usize = 8;

/// Whether the error only means that more bytes must be pushed.
fn is_starved(kind: &RdbErrorKind) -> bool {
    matches!(kind, RdbErrorKind::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

impl RdbError {
    /// Whether the error only means that more bytes must be pushed ([`RdbReader::pushed`]).
    pub fn is_starved(&self) -> bool {
        is_starved(&self.kind)
    }
}

/// Reads the payload of DUMP for RESTORE.
///
/// The error of RESTORE depends on the step that fails: `open` for version or checksum, `value` for
/// the data.
pub struct DumpReader<'s> {
    input: Input<'s>,
    decoder: Decoder,
    body_len: usize,
    source: Vec<u8>,
}

impl<'s> DumpReader<'s> {
    /// Checks version and checksum.
    pub fn open(payload: &'s [u8], options: ReadOptions) -> std::result::Result<Self, RdbError> {
        let (body, version) = verify_dump_payload(payload, options)?;
        let mut decoder = Decoder::new(options);
        decoder.version = version;
        // The checksum was verified as a whole; the block need not be longer than the payload.
        let body_len = body.len();
        let block_len = body_len.min(BLOCK_LEN);
        let input = Input::new(Box::new(body), block_len, ChecksumPolicy::Ignore);
        Ok(Self { input, decoder, body_len, source: Vec::new() })
    }

    /// The source text of the next library of a payload of FUNCTION DUMP; `None` at its end.
    pub fn library(&mut self) -> std::result::Result<Option<&[u8]>, RdbError> {
        if self.input.offset() >= self.body_len as u64 {
            return Ok(None);
        }
        let (decoder, input, source) = (&mut self.decoder, &mut self.input, &mut self.source);
        let read = input.byte().and_then(|type_byte| match type_byte {
            opcode::FUNCTION2 => decoder.decode_bytes_into(input, source),
            opcode::FUNCTION_PRE_GA => Err(unsupported(type_byte, decoder.version)),
            _ => Err(RdbErrorKind::UnknownType { type_byte, version: decoder.version }),
        });
        match read {
            Ok(()) => Ok(Some(&self.source)),
            Err(kind) => Err(RdbError { offset: self.input.error_offset(&kind), key: None, kind }),
        }
    }

    /// Decodes the value. Bytes after it are ignored, as in the real servers.
    pub fn value(&mut self) -> std::result::Result<RdbValue<'_>, RdbError> {
        let decoded = self
            .input
            .byte()
            .and_then(|type_byte| self.decoder.decode_value(&mut self.input, type_byte));
        match decoded {
            Ok(span) => Ok(self.decoder.value(&self.input, span)),
            Err(kind) => Err(RdbError { offset: self.input.error_offset(&kind), key: None, kind }),
        }
    }
}

/// Version (2 bytes) and CRC-64 at the end of a DUMP payload.
const DUMP_FOOTER_LEN: usize = 10;

/// The type and value inside `payload`, and the version it was written with.
///
/// Unlike in a file, a checksum of zero is compared like any other.
pub fn verify_dump_payload(
    payload: &[u8],
    options: ReadOptions,
) -> std::result::Result<(&[u8], RdbVersion), RdbError> {
    let fail = |offset: usize, kind| Err(RdbError { offset: offset as u64, key: None, kind });
    let Some(body_len) = payload.len().checked_sub(DUMP_FOOTER_LEN) else {
        return fail(payload.len(), RdbErrorKind::Truncated);
    };
    let (summed, found) = payload.split_at(body_len + 2);
    let (body, version) = summed.split_at(body_len);
    let number = version.iter().rev().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
    let found = found.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let version = match RdbVersion::from_number(number, options.versions) {
        Ok(version) => version,
        Err(kind) => return fail(body_len, kind),
    };
    if options.checksums == ChecksumPolicy::Verify {
        let expected = Checksum::of(summed);
        if expected != found {
            return fail(body_len + 2, RdbErrorKind::Checksum { expected, found });
        }
    }
    Ok((body, version))
}

/// Where a decoded string is stored.
pub(super) enum StrSpan {
    Int(i64),
    Block(Range<usize>),
    Scratch,
}

/// Where a decoded value is stored.
enum ValueSpan {
    Str(StrSpan),
    Built(HeapValue),
}

/// Decodes strings and values; owns the buffers of those that are not in the input's block.
pub(super) struct Decoder {
    pub(super) options: ReadOptions,
    pub(super) version: RdbVersion,
    scratch: Vec<u8>,
    compressed: Vec<u8>,
}

impl Decoder {
    fn new(options: ReadOptions) -> Self {
        Self {
            options,
            version: RdbVersion::default(),
            scratch: Vec::new(),
            compressed: Vec::new(),
        }
    }

    fn decode_value(&mut self, input: &mut Input<'_>, type_byte: u8) -> Result<ValueSpan> {
        match type_byte {
            TYPE_STRING => Ok(ValueSpan::Str(self.decode_string(input)?)),
            _ => Ok(ValueSpan::Built(types::decode(self, input, type_byte)?)),
        }
    }

    fn value<'a>(&'a self, input: &'a Input<'_>, span: ValueSpan) -> RdbValue<'a> {
        match span {
            ValueSpan::Str(span) => RdbValue::Str(self.string(input, span)),
            ValueSpan::Built(value) => RdbValue::Collection(value),
        }
    }

    pub(super) fn string<'a>(&'a self, input: &'a Input<'_>, span: StrSpan) -> RdbString<'a> {
        match span {
            StrSpan::Int(value) => RdbString::Int(value),
            StrSpan::Block(span) => RdbString::Bytes(input.bytes(span)),
            StrSpan::Scratch => RdbString::Bytes(&self.scratch),
        }
    }

    pub(super) fn decode_string(&mut self, input: &mut Input<'_>) -> Result<StrSpan> {
        input.start_part();
        match decode_len_or_encoding(input)? {
            Len::Plain(len) => {
                self.bound(len)?;
                if let Some(span) = input.span(len)? {
                    return Ok(StrSpan::Block(span));
                }
                input.read_into(len, &mut self.scratch)?;
                Ok(StrSpan::Scratch)
            }
            Len::Special(encoding::LZF) => {
                let compressed_len = decode_len(input)?;
                let len = decode_len(input)?;
                self.bound(compressed_len)?;
                self.bound(len)?;
                let len = usize::try_from(len).map_err(|_| corrupt("string longer than memory"))?;
                let compressed = match input.span(compressed_len)? {
                    Some(span) => input.bytes(span),
                    None => {
                        input.read_into(compressed_len, &mut self.compressed)?;
                        &self.compressed
                    }
                };
                lzf::decompress(compressed, len, &mut self.scratch)?;
                Ok(StrSpan::Scratch)
            }
            Len::Special(byte) => Ok(StrSpan::Int(decode_int(input, byte)?)),
        }
    }

    /// Decodes a string into a buffer that outlives the next part.
    pub(super) fn decode_bytes_into(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let span = self.decode_string(input)?;
        match self.string(input, span) {
            RdbString::Bytes(bytes) => {
                out.clear();
                out.extend_from_slice(bytes);
            }
            RdbString::Int(value) => {
                out.clear();
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
        }
        Ok(())
    }

    fn bound(&self, len: u64) -> Result<()> {
        if len <= self.options.string_len_max {
            Ok(())
        } else {
            Err(corrupt("string longer than allowed"))
        }
    }
}

pub(super) fn corrupt(what: &'static str) -> RdbErrorKind {
    RdbErrorKind::Corrupt(what)
}

pub(super) fn unsupported(type_byte: u8, version: RdbVersion) -> RdbErrorKind {
    let name = match type_byte {
        opcode::SLOT_IMPORT if matches!(version, RdbVersion::Valkey(_)) => "slot import state",
        opcode::FUNCTION_PRE_GA => "function library (before Redis 7.0)",
        _ => match type_name(type_byte, version) {
            Some(name) => name,
            None => return RdbErrorKind::UnknownType { type_byte, version },
        },
    };
    RdbErrorKind::UnsupportedType { type_byte, name }
}

enum Len {
    Plain(u64),
    /// The first byte of a specially encoded string, with its prefix.
    Special(u8),
}

fn decode_len_or_encoding(input: &mut Input<'_>) -> Result<Len> {
    let first = input.byte()?;
    match first >> 6 {
        encoding::LEN_6 => Ok(Len::Plain(u64::from(first))),
        encoding::LEN_14 => {
            let low = input.byte()?;
            Ok(Len::Plain(u64::from(first & 0x3f) << 8 | u64::from(low)))
        }
        encoding::LEN_32_OR_64 => match first {
            encoding::LEN_32 => Ok(Len::Plain(u64::from(u32::from_be_bytes(input.array()?)))),
            encoding::LEN_64 => Ok(Len::Plain(u64::from_be_bytes(input.array()?))),
            _ => Err(corrupt("unknown form of a length")),
        },
        _ => Ok(Len::Special(first)),
    }
}

pub(super) fn decode_len(input: &mut Input<'_>) -> Result<u64> {
    match decode_len_or_encoding(input)? {
        Len::Plain(len) => Ok(len),
        Len::Special(_) => Err(corrupt("a string where a length is due")),
    }
}

fn decode_int(input: &mut Input<'_>, first: u8) -> Result<i64> {
    Ok(match first {
        encoding::INT_8 => i64::from(i8::from_le_bytes(input.array()?)),
        encoding::INT_16 => i64::from(i16::from_le_bytes(input.array()?)),
        encoding::INT_32 => i64::from(i32::from_le_bytes(input.array()?)),
        _ => return Err(corrupt("unknown encoding of a string")),
    })
}

fn skip_string(input: &mut Input<'_>) -> Result<()> {
    match decode_len_or_encoding(input)? {
        Len::Plain(len) => input.skip(len),
        Len::Special(encoding::LZF) => {
            let compressed_len = decode_len(input)?;
            decode_len(input)?;
            input.skip(compressed_len)
        }
        Len::Special(first) => decode_int(input, first).map(|_| ()),
    }
}

/// Skips module data: each of its parts states its length, so that the module is not needed.
fn skip_module_aux(input: &mut Input<'_>) -> Result<[u8; 9]> {
    let module = module_name(decode_len(input)?);
    // Whether the data is loaded before or after the keys, as a number.
    if decode_len(input)? != module_opcode::UINT {
        return Err(corrupt("module data without its position"));
    }
    decode_len(input)?;
    loop {
        input.start_part();
        match decode_len(input)? {
            module_opcode::EOF => return Ok(module),
            module_opcode::SINT | module_opcode::UINT => {
                decode_len(input)?;
            }
            module_opcode::FLOAT => input.skip(4)?,
            module_opcode::DOUBLE => input.skip(8)?,
            module_opcode::STRING => skip_string(input)?,
            _ => return Err(corrupt("unknown part of module data")),
        }
    }
}

/// The nine characters in the upper 54 bits of a module id; the rest is the encoding's version.
fn module_name(id: u64) -> [u8; 9] {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array::from_fn(|i| CHARACTERS[(id >> (58 - 6 * i)) as usize & 63])
}

#[cfg(test)]
mod tests;
