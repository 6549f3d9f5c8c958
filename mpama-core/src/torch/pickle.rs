//! The pickle of a state dict, read as data.
//!
//! Of Python's machine only the opcodes that build values are known. A function is never called: its
//! name and arguments are kept, for the reader of tensors to recognise. Values lie in one list and refer
//! to each other by number, so that a file which shares, nests or repeats them without end costs no more
//! memory than its own length.

use std::collections::BTreeMap;

use super::TorchError;

/// Place of a value in [`Pickle`].
pub(super) type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, a number with a fraction, or another that no tensor is made of.
    Other,
    Bool(bool),
    Int(i64),
    Text(String),
    /// A class or function by its full name.
    Name(String),
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What calling a function would have made.
    Call {
        function: Id,
        arguments: Id,
    },
    /// A storage: what the file says of it.
    Storage(Id),
}

/// A whole pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    /// Its outermost value.
    pub(super) root: Id,
}

impl Pickle {
    /// Reads up to the end mark.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TorchError> {
        let mut machine = Machine {
            rest: bytes,
            values: Vec::new(),
            stack: Vec::new(),
            memo: BTreeMap::new(),
        };
        while !machine.step()? {}
        let root = machine.pop()?;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn name(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Name(name) => Some(name),
            _ => None,
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn counts(&self, id: Id) -> Option<Vec<usize>> {
        self.sequence(id)?
            .iter()
            .map(|id| self.count(*id))
            .collect()
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Function and arguments of a call.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        match self.get(id) {
            Value::Call {
                function,
                arguments,
            } => Some((self.name(*function)?, self.sequence(*arguments)?)),
            _ => None,
        }
    }
}

/// What lies on the stack.
enum Slot {
    Value(Id),
    Mark,
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Slot>,
    memo: BTreeMap<u32, Id>,
}

impl Machine<'_> {
    /// Obeys one opcode; true at the end mark.
    fn step(&mut self) -> Result<bool, TorchError> {
        match self.byte()? {
            b'.' => return Ok(true),
            0x80 => drop(self.byte()?), // version of the protocol
            b'(' => self.stack.push(Slot::Mark),
            b'N' => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let number = self.byte()?;
                self.push(Value::Int(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()));
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()));
            }
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                let text = String::from_utf8_lossy(self.take(length as usize)?).into_owned();
                self.push(Value::Text(text));
            }
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Name(name));
            }
            b']' | b')' => self.push(Value::Sequence(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Sequence(items));
            }
            count @ 0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(count - 0x84));
                let slots = self.stack.split_off(from.ok_or_else(empty)?);
                let items = slots.into_iter().map(value).collect::<Result<_, _>>()?;
                self.push(Value::Sequence(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            b'Q' => {
                let described = self.pop()?;
                self.push(Value::Storage(described));
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments);
            }
            // The state of an object: of a dict, attributes that hold no tensor.
            b'b' => drop(self.pop()?),
            b'q' => {
                let place = self.byte()?;
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.array()?);
                self.remember(place)?;
            }
            b'h' => {
                let place = self.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.array()?);
                self.recall(place)?;
            }
            opcode => return Err(bad(format!("opcode {opcode:#04x} has no place in weights"))),
        }
        Ok(false)
    }

    /// An empty ordered dict is a dict; whatever else would be called is only written down.
    fn call(&mut self, function: Id, arguments: Id) {
        let ordered = matches!(&self.values[function], Value::Name(name) if name == "collections.OrderedDict");
        let empty = matches!(&self.values[arguments], Value::Sequence(items) if items.is_empty());
        self.push(match ordered && empty {
            true => Value::Dict(Vec::new()),
            false => Value::Call {
                function,
                arguments,
            },
        });
    }

    fn long(&mut self) -> Result<(), TorchError> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(bad("a whole number of more than 64 bits"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = if negative { [0xff; 8] } else { [0; 8] };
        whole[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(whole)));
        Ok(())
    }

    fn extend(&mut self, new: Vec<Id>) -> Result<(), TorchError> {
        let list = self.last()?;
        match &mut self.values[list] {
            Value::Sequence(items) => items.extend(new),
            _ => return Err(bad("something is appended to what is no list")),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), TorchError> {
        let dict = self.last()?;
        match &mut self.values[dict] {
            Value::Dict(pairs) if items.len().is_multiple_of(2) => {
                pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err(bad("pairs are put into what is no dict")),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), TorchError> {
        let value = self.last()?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), TorchError> {
        let found = self.memo.get(&place);
        let id = *found.ok_or_else(|| bad(format!("nothing is remembered as {place}")))?;
        self.stack.push(Slot::Value(id));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(Slot::Value(self.values.len()));
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, TorchError> {
        value(self.stack.pop().ok_or_else(empty)?)
    }

    fn last(&self) -> Result<Id, TorchError> {
        match self.stack.last() {
            Some(Slot::Value(id)) => Ok(*id),
            _ => Err(empty()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, TorchError> {
        let mark = self
            .stack
            .iter()
            .rposition(|slot| matches!(slot, Slot::Mark));
        let items = self.stack.split_off(mark.ok_or_else(empty)? + 1);
        self.stack.pop(); // the mark itself
        items.into_iter().map(value).collect()
    }

    fn line(&mut self) -> Result<String, TorchError> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or_else(cut)?)?;
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        self.byte()?;
        Ok(line)
    }

    fn byte(&mut self) -> Result<u8, TorchError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TorchError> {
        self.take(N)?.try_into().map_err(|_| cut())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], TorchError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn value(slot: Slot) -> Result<Id, TorchError> {
    match slot {
        Slot::Value(id) => Ok(id),
        Slot::Mark => Err(empty()),
    }
}

fn bad(reason: impl Into<String>) -> TorchError {
    TorchError::Pickle(reason.into())
}

fn cut() -> TorchError {
    bad("it ends too early")
}

fn empty() -> TorchError {
    bad("a value is taken where there is none")
}
