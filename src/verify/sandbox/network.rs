//! A network of the sandbox's own: a loopback device and nothing else, shared by both sides of a proof.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use fs_err as fs;
use rustix::ioctl::{Opcode, Setter, ioctl};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `struct ifreq` as far as `SIOCSIFFLAGS` reads it, at its full size.
///
/// Source: <https://man7.org/linux/man-pages/man7/netdevice.7.html>
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: u16,
    unused: [u8; 22],
}

const SIOCSIFFLAGS: Opcode = 0x8914;
const IFF_UP: u16 = 1;

/// In a new network namespace the loopback device is there, but down.
#[expect(unsafe_code, reason = "rustix has no call for a network device's flags")]
pub(super) fn raise_loopback() -> io::Result<()> {
    let mut request = InterfaceFlags { name: [0; 16], flags: IFF_UP, unused: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // Any socket will do to name the namespace.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: the kernel reads one `struct ifreq` for this opcode, which is what it is given.
    unsafe { ioctl(&socket, Setter::<SIOCSIFFLAGS, InterfaceFlags>::new(request)) }
        .map_err(|error| io::Error::other(format!("cannot raise the loopback device: {error}")))
}

/// Enters the network of `process`, and its user namespace where that is another one; says whether it was.
pub(super) fn join(process: u32) -> io::Result<bool> {
    let open = |name: &str| fs::File::open(format!("/proc/{process}/ns/{name}"));
    let (user, network) = (open("user")?, open("net")?);
    let is_other = fs::read_link(format!("/proc/{process}/ns/user"))? != fs::read_link("/proc/self/ns/user")?;
    if is_other {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
    }
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(is_other)
}
