//! A table of packet filter rules of our own, in the network namespace in which it was opened: each rule
//! drops and counts what comes from one address.

use super::kernel::Socket;
use super::netlink::{self, Rule, Table};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that documentation uses and nobody has (RFC 5737, RFC 3849).
const NOBODY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOBODY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Our table in the kernel. Dropping it leaves it there.
#[derive(Debug)]
pub struct Filter {
    table: Table,
    socket: Socket,
}

impl Filter {
    /// Makes a table for IPv4 in the current network namespace. Tries all that a cut will need, so that a
    /// kernel without it says so now.
    pub fn v4(name: &str) -> io::Result<Filter> {
        Filter::build(Table::v4(name), NOBODY_V4.into())
    }

    /// The same for IPv6.
    pub fn v6(name: &str) -> io::Result<Filter> {
        Filter::build(Table::v6(name), NOBODY_V6.into())
    }

    fn build(table: Table, nobody: IpAddr) -> io::Result<Filter> {
        let mut filter = Filter { table, socket: Socket::filter()? };
        filter.change(vec![filter.table.create(), filter.table.chain()])?;
        let tried = filter.try_out(nobody);
        if tried.is_err() {
            // What the kernel half understands must not stay.
            let _ = filter.remove();
        }
        tried.map(|()| filter)
    }

    /// A rule comes, is read back, and goes; it holds back nothing.
    fn try_out(&mut self, nobody: IpAddr) -> io::Result<()> {
        self.hold_back(&[nobody])?;
        let rules = self.rules()?;
        let rule = rules.get(&nobody).ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))?;
        self.change(vec![self.table.delete_rule(rule.handle)])
    }

    /// Drops what comes from these addresses, all at one instant.
    pub fn hold_back(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        self.change(sources.iter().map(|source| self.table.drop_rule(*source)).collect())
    }

    /// Lets pass again what comes from these addresses.
    pub fn let_pass(&mut self, sources: &[IpAddr]) -> io::Result<()> {
        let rules = self.rules()?;
        let gone = sources.iter().filter_map(|source| rules.get(source));
        self.change(gone.map(|rule| self.table.delete_rule(rule.handle)).collect())
    }

    /// The rules in force, by the address that they hold back.
    pub fn rules(&mut self) -> io::Result<BTreeMap<IpAddr, Rule>> {
        let entries = self.socket.transact(vec![self.table.list_rules()])?;
        Ok(entries.iter().filter_map(|e| Rule::parse(e)).map(|rule| (rule.source, rule)).collect())
    }

    /// Removes the table; that it is not there, or cannot be there, is as good.
    pub fn remove(&mut self) -> io::Result<()> {
        match self.change(vec![self.table.delete()]) {
            Err(error)
                if [libc::ENOENT, libc::EOPNOTSUPP, libc::EAFNOSUPPORT]
                    .contains(&error.raw_os_error().unwrap_or(0)) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn change(&mut self, changes: Vec<netlink::Message>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.socket.transact(netlink::transaction(changes)).map(|_| ())
    }
}

/// Removes the tables of this name from the current network namespace, if there are any.
pub fn remove(name: &str) -> io::Result<()> {
    for table in [Table::v4(name), Table::v6(name)] {
        Filter { table, socket: Socket::filter()? }.remove()?;
    }
    Ok(())
}

/// Whether the kernel has nftables at all; changes nothing.
pub fn answers() -> io::Result<()> {
    // Rules of a table that is not there: a kernel that understands the question has none.
    match Socket::filter()?.transact(vec![Table::v4("elenchus-probe").list_rules()]) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}
