//! The libraries of functions of a server, and the one machine that their functions run in.
//!
//! Unlike scripts, functions keep what they store in local variables of their library, so all
//! threads share a machine: a function has taken the world anyway. A data set that is being loaded
//! has [`Libraries`] of its own, which then replace those of the server.
//!
//! **Invariants.** Libraries change in the world only. A change happens completely or not at all.
//! Function names are unique in any case of letters.

use std::collections::{BTreeMap, HashMap};

use super::Machine;
use super::library::{self, Function, Library};
use crate::env::Env;
use crate::error::ReplyError;
use crate::sync::{Arc, Mutex, lock};

/// How long the code of a library may take that a client loads. Source: FUNCTION LOAD of Valkey.
pub const LOAD_LIMIT_NS: u64 = 500_000_000;
/// How long it may take when a file or a primary brings it, where it did not take that long: the
/// machine may be slower.
pub const TRUSTED_LIMIT_NS: u64 = 60_000_000_000;

/// The libraries by name, and their functions.
#[derive(Debug, Default, Clone)]
pub struct Catalogue {
    libraries: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// By name in lower case.
    functions: HashMap<Box<[u8]>, FoundFunction>,
    bytes: usize,
}

/// A function of a library.
#[derive(Debug, Clone)]
pub struct FoundFunction {
    library: Arc<Library>,
    place: usize,
}

impl FoundFunction {
    /// The function.
    pub fn function(&self) -> &Function {
        &self.library.functions[self.place]
    }
}

impl Catalogue {
    /// The libraries, ordered by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Library> + Clone {
        self.libraries.values().map(|library| &**library)
    }

    /// The number of functions.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Whether there are no libraries.
    pub fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }

    /// The bytes of sources and records, approximately.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The function of a name, in any case of letters.
    pub fn find(&self, name: &[u8]) -> Option<&FoundFunction> {
        if let Some(found) = self.functions.get(name) {
            return Some(found);
        }
        self.functions.get(&name.to_ascii_lowercase()[..])
    }

    fn insert(&mut self, library: Library) {
        let library = Arc::new(library);
        for (place, function) in library.functions.iter().enumerate() {
            let found = FoundFunction { library: Arc::clone(&library), place };
            // Of names that differ in case only the first one counts.
            self.functions.entry(function.name.to_ascii_lowercase().into()).or_insert(found);
        }
        self.bytes += size_of_library(&library);
        self.libraries.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<Library>> {
        let library = self.libraries.remove(name)?;
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase()[..]);
        }
        self.bytes -= size_of_library(&library);
        Some(library)
    }

    /// Checks that `new` can be added once the libraries of the same names are gone; if these must
    /// not be replaced, that there are none.
    fn admit<'n>(
        &self,
        new: impl Iterator<Item = &'n Library> + Clone,
        replaces: bool,
    ) -> Result<(), ReplyError> {
        for library in new.clone() {
            if !replaces && self.libraries.contains_key(&library.name) {
                return Err(ReplyError::quoting("Library ", &library.name, " already exists"));
            }
        }
        let names: std::collections::HashSet<&[u8]> =
            new.clone().map(|library| &library.name[..]).collect();
        for function in new.flat_map(|library| &library.functions) {
            if let Some(old) = self.find(&function.name)
                && !names.contains(&old.library.name[..])
            {
                return Err(ReplyError::quoting("Function ", &function.name, " already exists"));
            }
        }
        Ok(())
    }
}

fn size_of_library(library: &Library) -> usize {
    let functions = library.functions.iter().map(|function| {
        let description = function.description.as_ref().map_or(0, |text| text.len());
        size_of::<Function>() + size_of::<FoundFunction>() + 3 * function.name.len() + description
    });
    size_of::<Library>() + library.source.len() + 2 * library.name.len() + functions.sum::<usize>()
}

/// Libraries with their machine.
#[derive(Default)]
pub struct Libraries {
    catalogue: Arc<Catalogue>,
    /// Absent before the first library, and while a function runs.
    machine: Option<Box<Machine>>,
    epoch: u64,
}

impl Libraries {
    /// What they are.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The machine. If it was lost (a panic in a function), the libraries are loaded into a new
    /// one.
    fn machine(&mut self, env: &Env) -> Result<&mut Machine, ReplyError> {
        if self.machine.is_none() {
            self.epoch = env.entropy.next_u64();
            let machine = library::new_machine(env, self.epoch).map_err(|_| ReplyError::Oom)?;
            let machine = self.machine.insert(Box::new(machine));
            let lost = std::mem::take(&mut self.catalogue);
            let catalogue = Arc::make_mut(&mut self.catalogue);
            for old in lost.iter() {
                let (name, source) = (&old.name, &old.source);
                if let Ok(library) = library::load(machine, env, name, source, TRUSTED_LIMIT_NS) {
                    catalogue.insert(library);
                }
            }
        }
        Ok(self.machine.as_mut().expect("it was just made"))
    }

    /// Loads a library; returns its name. Errors: its name or that of a function is taken; those of
    /// its code.
    pub fn load(
        &mut self,
        env: &Env,
        source: &[u8],
        replaces: bool,
        limit_ns: u64,
    ) -> Result<Vec<u8>, ReplyError> {
        let name = library::name_of(source)?;
        if !replaces && self.catalogue.libraries.contains_key(&name[..]) {
            return Err(ReplyError::quoting("Library '", &name, "' already exists"));
        }
        let machine = self.machine(env)?;
        let library = library::load(machine, env, &name, source, limit_ns)?;
        if let Err(error) = self.catalogue.admit(std::iter::once(&library), true) {
            self.unload(&library);
            return Err(error);
        }
        self.remove(&name);
        Arc::make_mut(&mut self.catalogue).insert(library);
        Ok(name)
    }

    /// Adds the libraries of another set: all, or none after an error.
    pub fn join(&mut self, env: &Env, new: Self, replaces: bool) -> Result<(), ReplyError> {
        self.catalogue.admit(new.catalogue.iter(), replaces)?;
        if self.catalogue.is_empty() {
            *self = new;
            return Ok(());
        }
        let mut loaded = Vec::new();
        for library in new.catalogue.iter() {
            let machine = self.machine(env)?;
            let (name, source) = (&library.name, &library.source);
            match library::load(machine, env, name, source, TRUSTED_LIMIT_NS) {
                Ok(library) => loaded.push(library),
                Err(error) => {
                    loaded.iter().for_each(|library| self.unload(library));
                    return Err(error);
                }
            }
        }
        // A function may move from one library to another.
        for library in &loaded {
            self.remove(&library.name);
        }
        let catalogue = Arc::make_mut(&mut self.catalogue);
        loaded.into_iter().for_each(|library| catalogue.insert(library));
        Ok(())
    }

    /// Removes a library; returns false if there is none.
    fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = Arc::make_mut(&mut self.catalogue).remove(name) else { return false };
        self.unload(&library);
        true
    }

    fn unload(&mut self, library: &Library) {
        if let Some(machine) = &mut self.machine {
            library::unload(machine, &library.functions);
        }
    }
}

/// The libraries of a server.
#[derive(Default)]
pub struct Functions {
    current: Mutex<Libraries>,
}

/// Numbers about functions, for INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FunctionTotals {
    /// Libraries.
    pub libraries: usize,
    /// Functions.
    pub functions: usize,
    /// Bytes of sources and records.
    pub bytes: usize,
    /// Bytes of the machine.
    pub machine_bytes: usize,
}

impl Functions {
    /// The libraries as they are now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&lock(&self.current).catalogue)
    }

    /// The flags of the function of a name.
    pub fn flags_of(&self, name: &[u8]) -> Option<u32> {
        lock(&self.current).catalogue.find(name).map(|found| found.function().flags)
    }

    /// The function of a name, which [`Self::take_machine`] can run.
    pub fn find(&self, env: &Env, name: &[u8]) -> Option<FoundFunction> {
        let mut current = lock(&self.current);
        current.catalogue.find(name)?;
        current.machine(env).ok()?;
        current.catalogue.find(name).cloned()
    }

    /// Takes the machine.
    pub fn take_machine(&self) -> Option<Box<Machine>> {
        lock(&self.current).machine.take()
    }

    /// Gives the machine back.
    pub fn put_machine(&self, mut machine: Box<Machine>) {
        machine.tidy();
        let mut current = lock(&self.current);
        if machine.epoch == current.epoch {
            current.machine = Some(machine);
        }
    }

    /// Loads a library, see [`Libraries::load`].
    pub fn load(
        &self,
        env: &Env,
        source: &[u8],
        replaces: bool,
        limit_ns: u64,
    ) -> Result<Vec<u8>, ReplyError> {
        lock(&self.current).load(env, source, replaces, limit_ns)
    }

    /// Adds other libraries, see [`Libraries::join`].
    pub fn join(&self, env: &Env, new: Libraries, replaces: bool) -> Result<(), ReplyError> {
        lock(&self.current).join(env, new, replaces)
    }

    /// Replaces all libraries.
    pub fn install(&self, new: Libraries) {
        *lock(&self.current) = new;
    }

    /// Removes a library; returns false if there is none.
    pub fn remove(&self, name: &[u8]) -> bool {
        lock(&self.current).remove(name)
    }

    /// Numbers for INFO.
    pub fn totals(&self) -> FunctionTotals {
        let current = lock(&self.current);
        let machine = current.machine.as_ref();
        FunctionTotals {
            libraries: current.catalogue.iter().len(),
            functions: current.catalogue.function_count(),
            bytes: current.catalogue.bytes(),
            machine_bytes: machine.map_or(0, |machine| machine.lua.memory_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
