//! Shared definitions of the RDB reader and writer: versions, opcodes, types, checksum and errors.
//!
//! Source: the files that Redis 7.0.15 and 8.2.3 and Valkey 9.1.2 write and accept; the names of
//! opcodes and types follow `rdb.h` of those servers.

use crate::config::RdbVersionCheck;
use std::fmt;
use std::io;

use crc::{CRC_64_REDIS, Crc, Digest, Table};
use redix_types::num;
use redix_types::value::{HeapValue, Value};

/// The most memory reserved ahead of bytes that were actually read, unless as much was read.
pub const RESERVE_AHEAD_MAX: usize = 1 << 20;

/// The longest string accepted from a file unless configured otherwise (512 MB, the default of
/// `proto-max-bulk-len`).
pub const STRING_LEN_MAX: u64 = 512 << 20;

/// Fork and version of a file or DUMP payload that can be read.
///
/// The forks number independently: Valkey left 12 to 79 to Redis and continues from 80. Type bytes
/// above 21 and opcodes below 244 differ between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdbVersion {
    /// Redis up to 8.4 (1 to 12) and Valkey up to 8 (11).
    Redis(u16),
    /// Valkey 9 (80).
    Valkey(u16),
}

/// Bytes at the start of an RDB file that name its format and version.
pub const MAGIC_LEN: usize = 9;

/// Whether a file that begins with these bytes, up to [`MAGIC_LEN`] of them, is an RDB file, of
/// whatever version. Eight are enough, as for the check tools of the real servers.
pub fn begins_as_rdb(magic: &[u8]) -> bool {
    magic.len() >= 8 && (magic.starts_with(b"REDIS") || magic.starts_with(b"VALKEY"))
}

impl Default for RdbVersion {
    /// Before a version has been read.
    fn default() -> Self {
        Self::Redis(0)
    }
}

impl RdbVersion {
    const REDIS_MAX: u16 = 12;
    /// Versions from 12 to 79 belong to Redis, later ones to Valkey.
    const VALKEY: u16 = 80;

    /// From the first nine bytes of a file: `REDIS` and four digits, or `VALKEY` and three.
    pub(super) fn from_magic(
        magic: [u8; MAGIC_LEN],
        check: RdbVersionCheck,
    ) -> Result<Self, RdbErrorKind> {
        let (digits, valkey) = match (magic.strip_prefix(b"REDIS"), magic.strip_prefix(b"VALKEY")) {
            (Some(digits), _) => (digits, false),
            (_, Some(digits)) => (digits, true),
            _ => return Err(RdbErrorKind::BadMagic),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(RdbErrorKind::BadMagic);
        }
        let number = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        match Self::from_number(number, check)? {
            version @ RdbVersion::Valkey(_) if valkey => Ok(version),
            version @ RdbVersion::Redis(1..) if !valkey => Ok(version),
            _ => Err(RdbErrorKind::UnsupportedVersion(number)),
        }
    }

    /// Parses the footer of a DUMP payload, which has a number without a magic.
    ///
    /// An unknown version is refused, or accepted as its fork's.
    pub(super) fn from_number(number: u16, check: RdbVersionCheck) -> Result<Self, RdbErrorKind> {
        match (number, check) {
            (0..=Self::REDIS_MAX, _) => Ok(RdbVersion::Redis(number)),
            (Self::VALKEY, _) => Ok(RdbVersion::Valkey(number)),
            (_, RdbVersionCheck::Strict) => Err(RdbErrorKind::UnsupportedVersion(number)),
            (..Self::VALKEY, RdbVersionCheck::Relaxed) => Ok(RdbVersion::Redis(number)),
            (_, RdbVersionCheck::Relaxed) => Ok(RdbVersion::Valkey(number)),
        }
    }

    /// The number in the file.
    pub fn number(self) -> u16 {
        match self {
            RdbVersion::Redis(number) | RdbVersion::Valkey(number) => number,
        }
    }

    /// Whether it is loaded without `rdb-version-check relaxed`.
    pub(crate) fn is_known(self) -> bool {
        Self::from_number(self.number(), RdbVersionCheck::Strict).is_ok()
    }

    /// Files end with a checksum since version 5.
    pub(crate) fn has_checksum(self) -> bool {
        self.number() >= 5
    }
}

/// The versions that can be written: 10 for Redis 7.0, 11 for Redis 7.2 and Valkey 8, 12 for Redis
/// 8, 80 for Valkey 9.
pub use crate::config::WriteVersion;

impl WriteVersion {
    /// The number in the file.
    pub fn number(self) -> u16 {
        match self {
            WriteVersion::V10 => 10,
            WriteVersion::V11 => 11,
            WriteVersion::V12 => 12,
            WriteVersion::V80 => 80,
        }
    }

    /// The version to write where hashes have fields with an expiry, if `expiring`: the oldest
    /// versions cannot hold them.
    pub fn able(self, expiring: bool) -> Self {
        match self {
            WriteVersion::V10 | WriteVersion::V11 if expiring => WriteVersion::V80,
            version => version,
        }
    }

    /// The first nine bytes of a file.
    pub(super) fn magic(self) -> String {
        match self {
            WriteVersion::V80 => format!("VALKEY{:03}", self.number()),
            _ => format!("REDIS{:04}", self.number()),
        }
    }
}

/// Opcodes: bytes in the place of a key's type that announce another part.
pub(crate) mod opcode {
    pub(crate) const SLOT_IMPORT: u8 = 243;
    pub(crate) const SLOT_INFO: u8 = 244;
    pub(crate) const FUNCTION2: u8 = 245;
    pub(crate) const FUNCTION_PRE_GA: u8 = 246;
    pub(crate) const MODULE_AUX: u8 = 247;
    pub(crate) const IDLE: u8 = 248;
    pub(crate) const FREQ: u8 = 249;
    pub(crate) const AUX: u8 = 250;
    pub(crate) const RESIZEDB: u8 = 251;
    pub(crate) const EXPIRETIME_MS: u8 = 252;
    pub(crate) const EXPIRETIME: u8 = 253;
    pub(crate) const SELECTDB: u8 = 254;
    pub(crate) const EOF: u8 = 255;
}

/// Opcodes inside the data of a module.
pub(super) mod module_opcode {
    pub(crate) const EOF: u64 = 0;
    pub(crate) const SINT: u64 = 1;
    pub(crate) const UINT: u64 = 2;
    pub(crate) const FLOAT: u64 = 3;
    pub(crate) const DOUBLE: u64 = 4;
    pub(crate) const STRING: u64 = 5;
}

/// First bytes of lengths, and the special string encodings behind the prefix `11`.
pub(super) mod encoding {
    pub(crate) const LEN_6: u8 = 0b00;
    pub(crate) const LEN_14: u8 = 0b01;
    pub(crate) const LEN_32_OR_64: u8 = 0b10;
    pub(crate) const LEN_32: u8 = 0x80;
    pub(crate) const LEN_64: u8 = 0x81;
    pub(crate) const INT_8: u8 = 0xc0;
    pub(crate) const INT_16: u8 = 0xc1;
    pub(crate) const INT_32: u8 = 0xc2;
    pub(crate) const LZF: u8 = 0xc3;
}

/// The type byte of a string.
pub(super) const TYPE_STRING: u8 = 0;

/// The name of `type_byte` in files of `version`; `None` if it is no type.
pub(super) fn type_name(type_byte: u8, version: RdbVersion) -> Option<&'static str> {
    Some(match (type_byte, version) {
        (TYPE_STRING, _) => "string",
        (1, _) => "list (linked)",
        (2, _) => "set (hashtable)",
        (3, _) => "sorted set (text scores)",
        (4, _) => "hash (hashtable)",
        (5, _) => "sorted set (skiplist)",
        (6, _) => "module value (before Redis 4.0)",
        (7, _) => "module value",
        (9, _) => "hash (zipmap)",
        (10, _) => "list (ziplist)",
        (11, _) => "set (intset)",
        (12, _) => "sorted set (ziplist)",
        (13, _) => "hash (ziplist)",
        (14, _) => "list (quicklist of ziplists)",
        (15, _) => "stream",
        (16, _) => "hash (listpack)",
        (17, _) => "sorted set (listpack)",
        (18, _) => "list (quicklist)",
        (19, _) => "stream (version 2)",
        (20, _) => "set (listpack)",
        (21, _) => "stream (version 3)",
        (22, RdbVersion::Valkey(_)) => "hash with expiring fields",
        (22, _) => "hash with expiring fields (before Redis 7.4)",
        (23, RdbVersion::Redis(_)) => "hash with expiring fields (listpack, before Redis 7.4)",
        (24, RdbVersion::Redis(_)) => "hash with expiring fields",
        (25, RdbVersion::Redis(_)) => "hash with expiring fields (listpack)",
        _ => return None,
    })
}

/// A string value: an integer where the file stores one, else bytes.
#[derive(Clone, Copy, Debug)]
pub enum RdbString<'a> {
    /// An integer, which stands for its decimal text.
    Int(i64),
    /// Any bytes.
    Bytes(&'a [u8]),
}

/// The value of a key.
#[derive(Clone, Debug)]
pub enum RdbValue<'a> {
    /// A string.
    Str(RdbString<'a>),
    /// A collection, built.
    Collection(HeapValue),
}

impl<'a> RdbValue<'a> {
    /// The stored value: a string that is an integer as such, as SET does.
    pub fn into_value(self) -> Value<'a> {
        match self {
            RdbValue::Str(RdbString::Int(value)) => Value::Int(value),
            RdbValue::Str(RdbString::Bytes(bytes)) => {
                num::parse_i64(bytes).map_or(Value::Str(bytes), Value::Int)
            }
            RdbValue::Collection(heap) => Value::Heap(heap),
        }
    }
}

/// Whether a checksum mismatch is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// It is; a checksum of zero in a file means that there is none.
    #[default]
    Verify,
    /// Checksums are not computed (`rdbchecksum no`, DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    Ignore,
}

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The running CRC-64 of a file or payload.
#[derive(Clone)]
pub(super) struct Checksum(Digest<'static, u64, Table<16>>);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(CRC.digest())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.clone().finalize()
    }

    pub(super) fn of(bytes: &[u8]) -> u64 {
        CRC.checksum(bytes)
    }
}

/// Why a file or DUMP payload cannot be read, and where.
#[derive(Debug)]
pub struct RdbError {
    /// The offset of the part that cannot be read, in bytes from the start of the input; for
    /// `Truncated` the end of the input.
    pub offset: u64,
    /// The key whose record was being read, once it is known.
    pub key: Option<Vec<u8>>,
    /// The error.
    pub kind: RdbErrorKind,
}

/// The kinds of error in a file or DUMP payload.
#[derive(Debug)]
pub enum RdbErrorKind {
    /// The input ends before its end marker.
    Truncated,
    /// The input does not start with an RDB magic.
    BadMagic,
    /// The version is unknown: written by a newer server.
    UnsupportedVersion(u16),
    /// A type or opcode that is known but cannot be loaded.
    UnsupportedType {
        /// The byte in the file.
        type_byte: u8,
        /// Its name.
        name: &'static str,
    },
    /// A type or opcode that is not known.
    UnknownType {
        /// The byte in the file.
        type_byte: u8,
        /// The version of the file.
        version: RdbVersion,
    },
    /// A collection without elements, read to its end. Files may hold such keys, which old servers
    /// left there by mistake; they are passed over.
    Empty,
    /// Invalid content.
    Corrupt(&'static str),
    /// The content does not match its checksum.
    Checksum {
        /// Computed from the content.
        expected: u64,
        /// Stored.
        found: u64,
    },
    /// A string could not be allocated.
    OutOfMemory,
    /// Reading the source failed.
    Io(io::Error),
}

/// How much of a key an error message shows.
const KEY_SHOWN_MAX: usize = 128;

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}", self.offset)?;
        if let Some(key) = &self.key {
            let (shown, more) = match key.get(..KEY_SHOWN_MAX) {
                Some(start) if key.len() > KEY_SHOWN_MAX => (start, "..."),
                _ => (key.as_slice(), ""),
            };
            write!(f, ", key \"{}{more}\"", shown.escape_ascii())?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl fmt::Display for RdbErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RdbErrorKind::Truncated => f.write_str("unexpected end of the data"),
            RdbErrorKind::BadMagic => f.write_str("not an RDB file"),
            RdbErrorKind::UnsupportedVersion(version) => {
                write!(f, "Can't handle RDB format version {version}")
            }
            RdbErrorKind::UnsupportedType { type_byte, name } => {
                write!(f, "{name} (type {type_byte}) is not supported")
            }
            // Numbers that Valkey has left to others.
            RdbErrorKind::UnknownType { type_byte, version: RdbVersion::Redis(version @ 12..) } => {
                write!(
                    f,
                    "Can't handle foreign type or opcode {type_byte} in RDB with version {version}"
                )
            }
            RdbErrorKind::UnknownType { type_byte, .. } => write!(
                f,
                "Unknown type or opcode when loading DB. Unrecoverable error, aborting now. (type \
                 {type_byte})"
            ),
            RdbErrorKind::Empty => f.write_str("a collection without elements"),
            RdbErrorKind::Corrupt(what) => f.write_str(what),
            RdbErrorKind::Checksum { expected, found } => {
                write!(f, "RDB CRC error: expected {expected:016x}, found {found:016x}")
            }
            RdbErrorKind::OutOfMemory => f.write_str("not enough memory"),
            RdbErrorKind::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RdbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            RdbErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
