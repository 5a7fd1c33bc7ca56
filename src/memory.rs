//! How the tool's memory is managed.

/// From this size on, in bytes.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 1 << 20;

/// Has large buffers go back to the system as soon as they are freed. Left alone, glibc keeps those of up to 32 MiB, for each thread,
/// once it has seen one: a build reads and packs hundreds of files of such sizes, and needed half as much memory again.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a C function")]
pub(crate) fn give_back_large_buffers() {
    // SAFETY: it takes two numbers, and no other thread runs yet that it could disturb.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// Other C libraries do so anyway.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back_large_buffers() {}
