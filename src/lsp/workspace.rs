//! Names in more than their document: what a file of the library declares stands in the library, in open documents and in files of the
//! workspace that are not open. They are read when somebody asks, and only those that have the word are checked.

use super::Server;
use super::document::Lines;
use crate::compile::{Base, Near};
use crate::diag::Severity;
use crate::diag::source::FileId;
use crate::ide::names::Target;
use crate::ide::references::{Home, home, in_tables};
use crate::ide::{Analysis, Beside, Edit, analyse, rename};
use crate::syntax::token::has_word;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A file that may say a name.
struct Place {
    uri: String,
    text: Arc<str>,
    analysis: Rc<Analysis>,
}

/// Edits by the address of their file.
type Changes = BTreeMap<String, Vec<Value>>;

impl Server {
    /// Notifications that are about no document.
    pub(super) fn of_the_workspace(&mut self, method: &str, params: &Value) {
        let listed = |list: &Value| -> Vec<String> {
            let uris = list.as_array().into_iter().flatten().filter_map(|f| f["uri"].as_str());
            uris.map(str::to_string).collect()
        };
        match method {
            "initialized" => {
                self.untold = true;
                self.watch();
            }
            "workspace/didChangeWatchedFiles" => {
                let changed = listed(&params["changes"]);
                let of_lock =
                    |uri: &&String| changed.iter().any(|file| self.setup.files.same(file, &format!("{uri}.lock")));
                let locked: Vec<String> = self.documents.keys().filter(of_lock).cloned().collect();
                locked.iter().for_each(|uri| self.look_at_lock(uri));
                self.touched.extend(changed);
            }
            "workspace/didChangeWorkspaceFolders" => {
                let gone = listed(&params["event"]["removed"]);
                self.folders.retain(|folder| !gone.contains(folder));
                self.folders.extend(listed(&params["event"]["added"]));
            }
            _ => {}
        }
    }

    /// Asks to be told of changed files: locks, and what may be a library's.
    fn watch(&mut self) {
        if self.client.watches {
            let watchers = ["**/*.mkb.lock", "**/*.mkb", "**/*.csv"].map(|files| json!({"globPattern": files}));
            let wanted = json!({"id": "files", "method": "workspace/didChangeWatchedFiles",
                "registerOptions": {"watchers": watchers}});
            self.ask("client/registerCapability", json!({"registrations": [wanted]}));
        }
    }

    /// Takes up a lock file that is another than when its document was checked.
    pub(super) fn look_at_lock(&mut self, uri: &str) {
        let lock = self.setup.files.lock(uri);
        if let Some(document) = self.documents.get_mut(uri)
            && document.analysis.as_ref().is_some_and(|known| known.lock != lock)
        {
            document.saved += 1;
            document.recheck();
        }
    }

    /// Every use of the name at a place.
    pub(super) fn references(&mut self, uri: &str, analysis: &Rc<Analysis>, at: u32, definition: bool) -> Value {
        let Some(target) = analysis.names().at(at).map(|o| o.target.clone()) else { return json!([]) };
        let whose = home(analysis, &self.shelf.base, &target);
        let mut out = Vec::new();
        for place in self.places(uri, analysis, &target, whose, &[analysis.slice_at(at)]) {
            let lines = Lines::new(place.text.clone());
            let uses = place.analysis.names().of(&target).filter(|o| definition || !o.definition);
            out.extend(uses.map(|o| json!({"uri": place.uri, "range": lines.range(o.span, self.encoding)})));
        }
        if let Home::Library(_) = whose {
            let own = in_tables(&self.shelf.base, &target);
            let tables = own.into_iter().filter(|place| !self.shelf.base.texts().is_standard(place.file));
            out.extend(
                tables
                    .filter_map(|span| self.location(uri, span))
                    .map(|(uri, range)| json!({"uri": uri, "range": range})),
            );
        }
        out.into()
    }

    /// The edits that give the name at a place another one, in all files that say it; or why it cannot have that.
    pub(super) fn rename(&mut self, uri: &str, analysis: &Rc<Analysis>, at: u32, to: &str) -> Result<Value, String> {
        rename::prepare(analysis, &self.shelf.base, at)?;
        let target = analysis.names().at(at).map(|o| o.target.clone()).ok_or("there is no name here")?;
        let whose = home(analysis, &self.shelf.base, &target);
        if whose == Home::File {
            let files = self.setup.clone();
            let table = |name: &str| files.files.table(uri, name);
            let trace = |name: &str| files.files.trace(uri, name);
            let beside = Beside { near: Near { table: &table, load: &trace }, lock: None };
            let edits = rename::rename(analysis, &mut self.shelf.base, at, to, beside)?;
            return Ok(json!({"changes": {uri: self.edits(uri, &edits)}}));
        }
        rename::is_a_name(to)?;
        // A file that has the new word may mean something else by it.
        let places = self.places(uri, analysis, &target, whose, &[analysis.slice_at(at), to]);
        let edits: Result<Vec<Vec<Edit>>, String> = places
            .iter()
            .map(|p| rename::edits(&p.analysis, &target, to).map_err(|why| within(&p.uri, &why)))
            .collect();
        let edits = edits?;
        let mut changes = Changes::new();
        let mut changed: Vec<(FileId, Arc<str>)> = Vec::new();
        for (place, edits) in places.iter().zip(&edits).filter(|(_, edits)| !edits.is_empty()) {
            if place.analysis.is_library {
                changed.push((place.analysis.file, rename::applied(&place.text, edits).into()));
            }
            changes.insert(place.uri.clone(), self.edits_of(&place.text, edits));
        }
        let mut tables: BTreeMap<FileId, Vec<Edit>> = BTreeMap::new();
        for edit in rename::table_edits(&self.shelf.base, &target, to)? {
            tables.entry(edit.span.file).or_default().push(edit);
        }
        for (file, edits) in tables {
            let text: Arc<str> = self.shelf.base.texts().sources.get(file).text.as_str().into();
            let uri =
                self.setup.files.library(self.shelf.base.texts(), file).ok_or("a table of figures has no place")?;
            changes.insert(uri, self.edits_of(&text, &edits));
            changed.push((file, rename::applied(&text, &edits).into()));
        }
        let mut base = self.shelf.base.with(&changed);
        let problems = |base: &Base| base.problems().iter().filter(|d| d.severity == Severity::Error).count();
        if problems(&base) > problems(&self.shelf.base) {
            let known: Vec<&str> = self.shelf.base.problems().iter().map(|d| d.message.as_str()).collect();
            let new = base.problems().iter().find(|d| !known.contains(&d.message.as_str()));
            return Err(format!("with `{to}`, {}", new.map_or("the library is wrong", |d| &d.message)));
        }
        for (place, edits) in places.iter().zip(&edits) {
            let table = |name: &str| self.setup.files.table(&place.uri, name);
            let trace = |name: &str| self.setup.files.trace(&place.uri, name);
            let beside = Beside { near: Near { table: &table, load: &trace }, lock: None };
            let after = analyse(&mut base, &place.uri, rename::applied(&place.text, edits).into(), beside);
            rename::means_the_same(&place.analysis, &after, edits, &target, to)
                .map_err(|why| within(&place.uri, &why))?;
        }
        Ok(json!({"changes": changes}))
    }

    /// The files that may say a name: its document alone where nothing else can, else those that have one of the words and by this name
    /// mean that of the same home.
    fn places(
        &mut self,
        uri: &str,
        analysis: &Rc<Analysis>,
        target: &Target,
        whose: Home,
        words: &[&str],
    ) -> Vec<Place> {
        let inside = matches!(target, Target::Local(_) | Target::Job(_) | Target::Part(_));
        if inside || matches!(whose, Home::File | Home::Nobody) {
            let text = analysis.text.clone();
            return vec![Place { uri: uri.to_string(), text, analysis: analysis.clone() }];
        }
        let has = |text: &str| words.iter().any(|word| has_word(text, word));
        let mut files = self.modules(&has);
        let documents = self.documents.iter().map(|(uri, document)| (uri.clone(), document.lines.text.clone()));
        let inside = self.setup.files.inside(&self.folders).into_iter().map(|(uri, text)| (uri, text.into()));
        for (uri, text) in documents.chain(inside) {
            // By what is not in its library, a file cannot mean the same.
            let shares = self.setup.files.libraries(&uri) == self.shelf.folders;
            if shares && !files.iter().any(|(known, _)| self.setup.files.same(known, &uri)) {
                files.push((uri, text));
            }
        }
        files.retain(|(_, text)| has(text));
        let mut out = Vec::new();
        for (uri, text) in files {
            let setup = self.setup.clone();
            let trace = |name: &str| setup.files.trace(&uri, name);
            let beside =
                Beside { near: Near { table: &|name| setup.files.table(&uri, name), load: &trace }, lock: None };
            let analysis = Rc::new(analyse(&mut self.shelf.base, &uri, text.clone(), beside));
            // A file that declares a thing of this name means its own.
            if home(&analysis, &self.shelf.base, target) == whose {
                out.push(Place { uri, text, analysis });
            }
        }
        out
    }

    /// The library's modules, at the addresses that the client has for them; of the standard library those of some texts, since an
    /// address there is a file that may have to be written.
    fn modules(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Arc<str>)> {
        let texts = self.shelf.base.texts();
        let files = texts.modules.iter().map(|(_, file)| *file);
        let files = files.filter(|file| !texts.is_standard(*file) || wanted(&texts.sources.get(*file).text));
        let place = |file: FileId| {
            let uri = self.setup.files.library(texts, file)?;
            let open = self.documents.keys().find(|open| self.setup.files.same(open, &uri));
            Some((open.cloned().unwrap_or(uri), texts.sources.get(file).text.as_str().into()))
        };
        files.filter_map(place).collect()
    }

    fn edits_of(&self, text: &Arc<str>, edits: &[Edit]) -> Vec<Value> {
        let lines = Lines::new(text.clone());
        edits.iter().map(|e| json!({"range": lines.range(e.span, self.encoding), "newText": e.insert})).collect()
    }
}

fn within(uri: &str, why: &str) -> String {
    let name = uri.rsplit('/').next().unwrap_or(uri);
    format!("{name}: {why}")
}
