//! One spelling for each code object.
//!
//! What `marshal.dumps` writes depends on the process: an object is flagged for sharing when somebody else holds a
//! reference to it, and two equal constants may or may not be one object, by what was compiled before. Here the
//! stream is read into a graph and written again with all equal immutable values shared, nothing flagged but what is
//! referred to, and references numbered in order. It loads as an equal code object, a little smaller.
//!
//! Source: <https://github.com/python/cpython/blob/3.15/Python/marshal.c>

use std::collections::{HashMap, HashSet};

const FLAG_REF: u8 = 0x80;
/// The compiler takes 200 nested brackets and 100 nested blocks at most, so no code object comes near; and a thread's
/// stack has room for it.
const DEEPEST: usize = 500;
pub(super) const TOO_DEEP: &str = "it is nested too deeply";

/// The canonical form of `bytes`, written by `marshal.dumps` of Python 3.`minor`; or what is wrong with them.
pub fn canonical(bytes: &[u8], minor: u32) -> Result<Vec<u8>, &'static str> {
    let mut reader = Reader { rest: bytes, minor, refs: Vec::new(), graph: Graph::default(), depth: 0 };
    let root = reader.object()?;
    if !reader.rest.is_empty() {
        return Err("something follows the code object");
    }
    Ok(reader.graph.write(root))
}

type Id = usize;

/// A value, with its children in the order in which the stream has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    /// Type and payload.
    Leaf(Vec<u8>),
    /// Type, the count as the stream has it, items.
    Sequence(u8, Vec<u8>, Vec<Id>),
    Code(Vec<Field>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Field {
    Number([u8; 4]),
    Object(Id),
}

#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
    /// Immutable values but code objects; those keep their identity.
    known: HashMap<Node, Id>,
    /// Strings that stand as interned anywhere in the stream. Whether two equal ones were one object when they were
    /// written, and so both interned, depends on the process.
    interned: HashSet<Id>,
}

impl Graph {
    fn add(&mut self, node: Node) -> Id {
        if matches!(node, Node::Code(_)) {
            self.nodes.push(node);
            return self.nodes.len() - 1;
        }
        let next = self.nodes.len();
        let id = *self.known.entry(node.clone()).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    fn write(&self, root: Id) -> Vec<u8> {
        let mut uses = vec![0_u32; self.nodes.len()];
        self.count(root, &mut uses);
        let mut out = Vec::new();
        self.emit(root, &mut Some(Numbers { uses: &uses, given: vec![None; self.nodes.len()], next: 0 }), &mut out);
        out
    }

    fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let (items, fields): (&[Id], &[Field]) = match &self.nodes[id] {
            Node::Leaf(_) => (&[], &[]),
            Node::Sequence(_, _, items) => (items, &[]),
            Node::Code(fields) => (&[], fields),
        };
        items.iter().copied().chain(fields.iter().filter_map(|field| match field {
            Field::Number(_) => None,
            Field::Object(id) => Some(*id),
        }))
    }

    /// How often each value stands in the stream. What stands a second time is a reference, without children.
    fn count(&self, id: Id, uses: &mut [u32]) {
        uses[id] += 1;
        if uses[id] == 1 {
            self.children(id).for_each(|child| self.count(child, uses));
        }
    }

    /// Without numbers, nothing is shared: a value's own spelling, to sort by.
    fn emit(&self, id: Id, numbers: &mut Option<Numbers<'_>>, out: &mut Vec<u8>) {
        let mut flag = 0;
        if let Some(numbers) = numbers
            && numbers.uses[id] > 1
            && !self.is_singleton(id)
        {
            if let Some(number) = numbers.given[id] {
                out.push(b'r');
                out.extend_from_slice(&u32::to_le_bytes(number));
                return;
            }
            numbers.given[id] = Some(numbers.next);
            numbers.next += 1;
            flag = FLAG_REF;
        }
        match &self.nodes[id] {
            Node::Leaf(bytes) => {
                // To sort by, plain: which strings are interned is not known before the end.
                let interned = numbers.is_some() && self.interned.contains(&id);
                out.push(if interned { interned_kind(bytes[0]) } else { bytes[0] } | flag);
                out.extend_from_slice(&bytes[1..]);
            }
            Node::Sequence(kind, count, items) => {
                out.push(kind | flag);
                out.extend_from_slice(count);
                for item in items {
                    self.emit(*item, numbers, out);
                }
            }
            Node::Code(fields) => {
                out.push(b'c' | flag);
                for field in fields {
                    match field {
                        Field::Number(number) => out.extend_from_slice(number),
                        Field::Object(id) => self.emit(*id, numbers, out),
                    }
                }
            }
        }
    }

    /// `None` and its like, of one byte.
    fn is_singleton(&self, id: Id) -> bool {
        matches!(&self.nodes[id], Node::Leaf(bytes) if bytes.len() == 1)
    }
}

struct Numbers<'a> {
    uses: &'a [u32],
    given: Vec<Option<u32>>,
    next: u32,
}

struct Reader<'a> {
    rest: &'a [u8],
    minor: u32,
    /// Nothing for what is still being read: no immutable value holds itself.
    refs: Vec<Option<Id>>,
    graph: Graph,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (front, rest) = self.rest.split_at_checked(length).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(front)
    }

    fn number(&mut self) -> Result<[u8; 4], &'static str> {
        let mut number = [0; 4];
        number.copy_from_slice(self.take(4)?);
        Ok(number)
    }

    fn object(&mut self) -> Result<Id, &'static str> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(TOO_DEEP);
        }
        let id = self.value();
        self.depth -= 1;
        id
    }

    fn value(&mut self) -> Result<Id, &'static str> {
        let byte = self.take(1)?[0];
        let kind = byte & !FLAG_REF;
        if kind == b'r' {
            let number = u32::from_le_bytes(self.number()?) as usize;
            return self.refs.get(number).copied().flatten().ok_or("a reference to nothing");
        }
        // A value's number is given before those of its children.
        let slot = (byte != kind).then(|| {
            self.refs.push(None);
            self.refs.len() - 1
        });
        let node = match kind {
            b'N' | b'T' | b'F' | b'S' | b'.' => Node::Leaf(vec![kind]),
            b'i' => self.leaf(kind, 0, 4)?,
            b'I' | b'g' => self.leaf(kind, 0, 8)?,
            b'y' => self.leaf(kind, 0, 16)?,
            b'l' => {
                let digits = i32::from_le_bytes(peek(self.rest)?).unsigned_abs() as usize;
                self.leaf(kind, 4, digits * 2)?
            }
            b'z' | b'Z' => {
                let length = *self.rest.first().ok_or("it ends too early")?;
                self.leaf(kind, 1, length.into())?
            }
            b's' | b'u' | b't' | b'a' | b'A' => {
                let length = u32::from_le_bytes(peek(self.rest)?) as usize;
                self.leaf(kind, 4, length)?
            }
            b')' => {
                let count = self.take(1)?;
                self.items(kind, count, count[0].into())?
            }
            b'(' | b'>' => {
                let count = self.take(4)?;
                self.items(kind, count, u32::from_le_bytes(peek(count)?) as usize)?
            }
            // A slice, from 3.14 on.
            b':' => self.items(kind, &[], 3)?,
            b'c' => self.code()?,
            _ => return Err("a type that no code object holds"),
        };
        let is_interned = matches!(kind, b'Z' | b'A' | b't') || is_shared_everywhere(&node);
        let id = self.graph.add(node);
        if is_interned {
            self.graph.interned.insert(id);
        }
        if let Some(slot) = slot {
            self.refs[slot] = Some(id);
        }
        Ok(id)
    }

    fn leaf(&mut self, kind: u8, head: usize, length: usize) -> Result<Node, &'static str> {
        let payload = self.take(head + length)?;
        Ok(Node::Leaf([&[plain_kind(kind)], payload].concat()))
    }

    fn items(&mut self, kind: u8, count: &[u8], length: usize) -> Result<Node, &'static str> {
        let mut items = (0..length).map(|_| self.object()).collect::<Result<Vec<_>, _>>()?;
        if kind == b'>' {
            // Before 3.11 a frozenset is written in the order of its hash table, which the hash seed decides.
            items.sort_by_cached_key(|item| {
                let mut spelling = Vec::new();
                self.graph.emit(*item, &mut None, &mut spelling);
                spelling
            });
        }
        Ok(Node::Sequence(kind, count.to_vec(), items))
    }

    /// Counts and flags, objects, the first line, and the tables that need it.
    fn code(&mut self) -> Result<Node, &'static str> {
        let (numbers, objects, tables) = match self.minor {
            8..=10 => (6, 8, 1),
            11..=15 => (5, 8, 2),
            _ => return Err("a Python whose code objects are not known"),
        };
        let mut fields = Vec::with_capacity(numbers + objects + 1 + tables);
        for (numbers, objects) in [(numbers, objects), (1, tables)] {
            for _ in 0..numbers {
                fields.push(Field::Number(self.number()?));
            }
            for _ in 0..objects {
                fields.push(Field::Object(self.object()?));
            }
        }
        Ok(Node::Code(fields))
    }
}

/// The type of a string that is not interned, for one that may be.
fn plain_kind(kind: u8) -> u8 {
    match kind {
        b'Z' => b'z',
        b'A' => b'a',
        b't' => b'u',
        other => other,
    }
}

fn interned_kind(kind: u8) -> u8 {
    match kind {
        b'z' => b'Z',
        b'a' => b'A',
        b'u' => b't',
        other => other,
    }
}

/// The empty string and single characters of Latin-1 are one object each in all of the process, so whoever interns
/// one (as a name, say) has interned it for everybody. Here they always are.
fn is_shared_everywhere(node: &Node) -> bool {
    let Node::Leaf(bytes) = node else { return false };
    match bytes[..] {
        [b'z', 0 | 1, ..] | [b'a' | b'u', 0 | 1, 0, 0, 0, ..] => true,
        [b'u', 2, 0, 0, 0, first, _] => matches!(first, 0xc2 | 0xc3),
        _ => false,
    }
}

fn peek(bytes: &[u8]) -> Result<[u8; 4], &'static str> {
    bytes.first_chunk().copied().ok_or("it ends too early")
}

#[cfg(test)]
mod tests;
