//! The few system calls without a safe wrapper, each behind a safe function.
#![allow(unsafe_code)]

pub use redix_core::env::error_text;

use std::ffi::{CStr, CString, OsStr};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

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

/// Nanoseconds since an arbitrary point in time, from the kernel.
pub fn mono_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC) as u64
}

/// A monotonic clock read from the processor's time stamp counter where that runs at a constant
/// rate (a third of the cost of a system call), else from the kernel.
pub struct TickClock {
    ticks: Option<Ticks>,
}

struct Ticks {
    start: u64,
    start_ns: u64,
    /// Nanoseconds per tick, times 2^32.
    scale: u64,
}

impl TickClock {
    /// Calibrates the counter against the kernel's clock for two milliseconds.
    pub fn new() -> Self {
        let Some(start) = time_stamp() else { return Self { ticks: None } };
        let start_ns = mono_ns();
        let mut end_ns = start_ns;
        while end_ns < start_ns + 2_000_000 {
            end_ns = mono_ns();
        }
        let passed = time_stamp().map_or(0, |end| end.wrapping_sub(start));
        let scale = (u128::from(end_ns - start_ns) << 32).checked_div(u128::from(passed));
        let scale = scale.and_then(|scale| u64::try_from(scale).ok());
        Self { ticks: scale.map(|scale| Ticks { start, start_ns, scale }) }
    }

    /// Nanoseconds since an arbitrary point in time.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        let (Some(ticks), Some(now)) = (&self.ticks, time_stamp()) else { return mono_ns() };
        let passed = now.wrapping_sub(ticks.start);
        ticks.start_ns + ((u128::from(passed) * u128::from(ticks.scale)) >> 32) as u64
    }
}

impl Default for TickClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The source of durations, as INFO shows it.
pub fn tick_clock_name() -> &'static str {
    if time_stamp().is_some() { "X86 TSC" } else { "POSIX clock_gettime" }
}

/// Name, release and machine of the operating system.
pub fn os_name() -> String {
    // SAFETY: all-zero is a valid `utsname`: arrays of bytes.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is a valid place for the result.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return String::new();
    }
    let text = |field: &[libc::c_char]| -> String {
        field.iter().take_while(|c| **c != 0).map(|c| char::from(*c as u8)).collect()
    };
    format!("{} {} {}", text(&names.sysname), text(&names.release), text(&names.machine))
}

/// Bytes of a page of memory.
pub fn page_bytes() -> u64 {
    // SAFETY: a query without preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Bytes of memory that the machine has.
pub fn total_memory_bytes() -> u64 {
    // SAFETY: a query without preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) }).unwrap_or(0) * page_bytes()
}

fn cpu_us(who: c_int) -> (u64, u64) {
    // SAFETY: all-zero is a valid `rusage`: integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the result.
    unsafe { libc::getrusage(who, &raw mut usage) };
    let us = |time: libc::timeval| (time.tv_sec * 1_000_000 + time.tv_usec) as u64;
    (us(usage.ru_utime), us(usage.ru_stime))
}

/// Microseconds of processor time used by the process: (user, system).
pub fn process_cpu_us() -> (u64, u64) {
    cpu_us(libc::RUSAGE_SELF)
}

/// Microseconds of processor time used by the calling thread: (user, system).
pub fn thread_cpu_us() -> (u64, u64) {
    cpu_us(libc::RUSAGE_THREAD)
}

/// The time stamp counter, if it runs at a constant rate in all power states.
#[cfg(target_arch = "x86_64")]
#[inline]
fn time_stamp() -> Option<u64> {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::LazyLock;
    static CONSTANT: LazyLock<bool> = LazyLock::new(|| {
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    });
    // SAFETY: reading the counter has no precondition on x86-64 and touches no memory.
    CONSTANT.then(|| unsafe { _rdtsc() })
}

/// Other processors: the kernel's clock is used.
#[cfg(not(target_arch = "x86_64"))]
fn time_stamp() -> Option<u64> {
    None
}

/// The local time at a Unix time in seconds, as (year, month 1..=12, day, hour, minute, second,
/// seconds east of UTC).
pub fn local_time(unix_s: i64) -> (i32, u32, u32, u32, u32, u32, i64) {
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
        tm.tm_gmtoff,
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

/// Opens the connection to syslog; `ident` names the program in every line. `facility` is one of
/// libc's `LOG_*` facilities.
pub fn open_syslog(ident: &[u8], facility: c_int) {
    let ident = CString::new(ident).expect("the configuration ends texts at a zero byte");
    // The C library keeps the pointer for the life of the process.
    let ident: &'static CStr = Box::leak(ident.into_boxed_c_str());
    let options = libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT;
    // SAFETY: `ident` is a C string that is never freed.
    unsafe { libc::openlog(ident.as_ptr(), options, facility) };
}

/// Sends one line to syslog; `priority` is one of libc's `LOG_*` priorities.
pub fn syslog(priority: c_int, text: &str) {
    let Ok(text) = CString::new(text.replace('\0', "")) else { return };
    // SAFETY: both pointers are to C strings that live through the call, and the format consumes
    // exactly one string.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) };
}

/// Paths that match a shell pattern, sorted; none if nothing matches or a directory is unreadable.
pub fn glob(pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(pattern) = CString::new(pattern) else { return Vec::new() };
    // SAFETY: all-zero is a valid, empty `glob_t`.
    let mut found: libc::glob_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pattern is a C string, there is no error callback, `found` is a valid place for
    // the result.
    let rc = unsafe { libc::glob(pattern.as_ptr(), 0, None, &raw mut found) };
    let mut paths = Vec::new();
    if rc == 0 {
        for index in 0..found.gl_pathc as usize {
            // SAFETY: after success `gl_pathv` holds `gl_pathc` C strings.
            let path = unsafe { CStr::from_ptr(*found.gl_pathv.add(index)) };
            paths.push(PathBuf::from(OsStr::from_bytes(path.to_bytes())));
        }
    }
    // SAFETY: `found` was filled by `glob` or is empty.
    unsafe { libc::globfree(&raw mut found) };
    paths
}

/// Daemonizes: continues in a child in a session of its own, with standard streams redirected to
/// /dev/null; the parent exits. To be called while there is one thread only.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: there is one thread only, so the child may go on as the parent would.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        // SAFETY: ends the process at once; nothing is to be cleaned up.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: no arguments.
    unsafe { libc::setsid() };
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for stream in 0..=2 {
        // SAFETY: both are open descriptors or the call fails.
        if unsafe { libc::dup2(null.as_raw_fd(), stream) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The memory in which the kernel keeps the arguments of the process, followed by its environment:
/// `ps` shows what is written there.
pub struct TitleArea {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to the process for its whole life, and is written through this value
// only.
unsafe impl Send for TitleArea {}

impl TitleArea {
    /// Locates that memory and moves the environment elsewhere. To be called once, while there is
    /// one thread only; `None` if the kernel does not show it.
    pub fn find() -> Option<Self> {
        // The name may hold blanks, so fields are counted behind the parenthesis that ends it. The
        // arguments' start and end are fields 48 and 49, the environment's end is field 51.
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<usize> =
            fields.split_whitespace().skip(45).take(4).map_while(|f| f.parse().ok()).collect();
        let &[start, _, _, end] = fields.as_slice() else { return None };
        let len = end.checked_sub(start).filter(|&len| start != 0 && len > 1)?;
        for (name, value) in std::env::vars_os() {
            // SAFETY: there is one thread only. Setting a variable copies it to the heap.
            unsafe { std::env::set_var(name, value) };
        }
        Some(Self { start: std::ptr::with_exposed_provenance_mut(start), len })
    }

    /// Writes the title, truncated to the available space.
    pub fn set(&mut self, title: &[u8]) {
        let count = title.len().min(self.len - 1);
        // SAFETY: the kernel says that the process owns `len` writable bytes here. Nothing else
        // uses them: the environment has moved, and the arguments were copied when they were read,
        // which is over.
        unsafe {
            std::ptr::write_bytes(self.start, 0, self.len);
            std::ptr::copy_nonoverlapping(title.as_ptr(), self.start, count);
        }
    }
}

/// Ignores SIGHUP.
pub fn ignore_hangup() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// Signals of faults and aborts, which end the process.
const FATAL: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

static ON_FATAL: OnceLock<fn(c_int, c_int, usize)> = OnceLock::new();

/// Has `report` called with the number, the code and the address of a fatal signal before that ends
/// the process. It must be async-signal-safe.
pub fn on_fatal_signals(report: fn(c_int, c_int, usize)) {
    ON_FATAL.get_or_init(|| report);
    for signal in FATAL {
        let handler = fatal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);
        // SAFETY: all bytes of zero are a valid action, with an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        // The stack may have overflowed.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for and does only what is
        // allowed in one; the old action is not wanted.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

extern "C" fn fatal(signal: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid pointer; the address means something only for a fault, but
    // is always there to be read.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if let Some(report) = ON_FATAL.get() {
        report(signal, code, address);
    }
    // SAFETY: both may be called in a handler. The signal is delivered again on return, and then
    // ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Appends bytes to a file, or writes them to standard output; for use in a signal handler.
pub fn append_in_handler(file: Option<&CStr>, bytes: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    // SAFETY: the path ends with a zero byte, the slice is valid for its length, and all calls are
    // allowed in a handler. Failures change nothing.
    unsafe {
        let fd = file.map_or(libc::STDOUT_FILENO, |path| libc::open(path.as_ptr(), flags, 0o644));
        libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        if file.is_some() {
            libc::close(fd);
        }
    }
}

/// Lowers the priority of the calling thread alone to nice value `nice`.
pub fn lower_priority(nice: c_int) -> io::Result<()> {
    // SAFETY: no memory is involved. On Linux a nice value belongs to a thread; 0 is the caller.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
