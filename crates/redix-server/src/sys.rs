//! The few system calls that have no safe wrapper, each behind a safe function.
#![allow(unsafe_code)]

use std::io;

use libc::{c_int, timespec};

fn clock_ns(clock: c_int) -> i64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, exclusive place for the result; the clocks used exist on Linux.
    let rc = unsafe { libc::clock_gettime(clock, &raw mut now) };
    assert_eq!(rc, 0, "the clock exists");
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Microseconds since the Unix epoch.
pub fn unix_us() -> i64 {
    clock_ns(libc::CLOCK_REALTIME) / 1000
}

/// Nanoseconds since some fixed moment.
pub fn mono_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC) as u64
}

/// The local time at a Unix time in seconds, as (year, month 1..=12, day, hour, minute, second).
pub fn local_time(unix_s: i64) -> (i32, u32, u32, u32, u32, u32) {
    // SAFETY: all-zero is a valid `tm`: integers and a null zone name.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to valid values of this frame; `localtime_r` keeps neither.
    unsafe { libc::localtime_r(&raw const unix_s, &raw mut tm) };
    let field = |value: c_int| u32::try_from(value).unwrap_or(0);
    (
        tm.tm_year + 1900,
        field(tm.tm_mon) + 1,
        field(tm.tm_mday),
        field(tm.tm_hour),
        field(tm.tm_min),
        field(tm.tm_sec),
    )
}

/// Raises the soft limit of open files to `want` as far as the hard limit allows; returns the limit
/// in force.
pub fn raise_file_limit(want: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the result.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= want {
        return Ok(limit.rlim_cur);
    }
    let raised = libc::rlimit {
        rlim_cur: want.min(limit.rlim_max.max(want)),
        rlim_max: limit.rlim_max.max(want),
    };
    // SAFETY: `raised` is a valid value that the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
        return Ok(raised.rlim_cur);
    }
    let most = libc::rlimit { rlim_cur: want.min(limit.rlim_max), rlim_max: limit.rlim_max };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const most) } == 0 {
        return Ok(most.rlim_cur);
    }
    Ok(limit.rlim_cur)
}
