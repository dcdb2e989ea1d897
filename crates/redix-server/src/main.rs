//! `redix`: a server that speaks the protocol, reads the files and obeys the commands of Redis.

#[global_allocator]
static ALLOCATOR: redix_server::alloc::Counting = redix_server::alloc::Counting;

fn main() -> std::process::ExitCode {
    redix_server::main()
}
