//! How rows get new codes without changing: under another platform key, or in a higher epoch.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use domain::row_seal::RowMac;
use domain::{PlatformKeyId, WrappingKey};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fields::{Fields, stored};
use super::offline::{MoveSealed, NotMoved};
use super::read::{self, Kept, Stored};
use super::tables::{EachTable, each_table, set_of};
use super::unit::{Sealed, Step};
use crate::integration::OwnedCredential;
use crate::row::{NumberedWrapping, Row as _, RowCodes, SetHead, Stamp};
use crate::{RecordedEvent, StoreError};

/// Which rows, and what they get.
pub(super) struct Pass<'p> {
    /// The key that codes are made under; rows that are under it already are left alone, unless `epoch` says otherwise.
    pub(super) primary: PlatformKeyId,
    /// All rows, in this epoch.
    pub(super) epoch: Option<u64>,
    /// Takes sealed blobs over; absent: they stay as they are.
    pub(super) sealed: Option<&'p dyn MoveSealed>,
    /// The most rows of each table that one pass takes.
    pub(super) most: NonZeroUsize,
}

/// How far passes have come in each table: the key of the last row they took. What stands before it is in order, so that a pass need
/// not look at it again: all of them together read each row once.
#[derive(Default)]
pub(super) struct Reached(BTreeMap<&'static str, Vec<Value>>);

/// A row as it was found, and where.
struct Found<R> {
    row: R,
    stamp: Stamp,
    code: RowMac,
    place: Vec<Value>,
}

/// Which rows of a table are not all under the key `?1`: by their code, or by the key that their sealed part names. A row gets
/// a new code whenever it is written, and its sealed part stays.
///
/// A sealed part is a version byte, the key's id and the rest; an empty one was erased.
pub(super) fn not_under(table: &str) -> &'static str {
    if table == NumberedWrapping::TABLE {
        "mac_key <> ?1 OR (sealed_blob <> x'' AND substr(sealed_blob, 2, 16) <> ?1) OR (wrapped_by = 1 AND wrapping_key <> ?1)"
    } else if table == OwnedCredential::TABLE {
        "mac_key <> ?1 OR (sealed <> x'' AND substr(sealed, 2, 16) <> ?1)"
    } else {
        "mac_key <> ?1"
    }
}

/// What is stored in a sealed part's place names the key it goes over to: else it would be taken over again for ever.
fn names(sealed: &[u8], key: PlatformKeyId) -> Result<(), String> {
    match sealed.get(1..17) {
        Some(named) if named == key.as_bytes() => Ok(()),
        Some(_) | None => Err(format!("it did not come back under {key}")),
    }
}

impl Pass<'_> {
    /// The clause that leaves out what is in order already.
    fn clause(&self, table: &str) -> String {
        match self.epoch {
            Some(epoch) => format!("WHERE ?1 IS NOT NULL AND epoch <> {epoch}"),
            None => format!("WHERE ({})", not_under(table)),
        }
    }

    fn limit(&self) -> i64 {
        i64::try_from(self.most.get()).unwrap_or(i64::MAX)
    }

    /// The query for the next rows, whose key is `places`: from behind the place `after` on, if there is one.
    fn query<R: Stored>(&self, places: &[String], after: Option<&[Value]>) -> String {
        let (columns, table, clause, by) = (R::COLUMNS, R::TABLE, self.clause(R::TABLE), places.join(", "));
        let numbers: Vec<_> = (3..).take(places.len()).map(|n| format!("?{n}")).collect();
        let behind = after.map_or(String::new(), |_| format!("AND ({by}) > ({})", numbers.join(", ")));
        format!(
            "SELECT {columns}, epoch, revision, mac_key, mac, {by} FROM {table} {clause} {behind} ORDER BY {by} LIMIT ?2"
        )
    }

    fn found<R: Stored>(
        &self,
        conn: &Connection,
        codes: &RowCodes,
        reached: &mut Reached,
    ) -> Result<Vec<Found<R>>, StoreError> {
        let places = primary_key(conn, R::TABLE)?;
        let after = reached.0.get(R::TABLE).map(Vec::as_slice);
        let mut statement = conn.prepare(&self.query::<R>(&places, after))?;
        let first = statement.column_count() - places.len();
        let values = [Value::Blob(self.primary.as_bytes().to_vec()), Value::Integer(self.limit())];
        let values = values.into_iter().chain(after.unwrap_or_default().iter().cloned());
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut fields = Fields::of(row, R::TABLE);
            let read = R::read(&mut fields)?;
            let (stamp, code) = fields.stamp_and_code()?;
            codes.check(&read, stamp, &code)?;
            let place = (first..first + places.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            found.push(Found { row: read, stamp, code, place });
        }
        if let Some(last) = found.last() {
            reached.0.insert(R::TABLE, last.place.clone());
        }
        Ok(found)
    }

    fn stamp(&self, was: Stamp) -> Stamp {
        Stamp { epoch: self.epoch.unwrap_or(was.epoch), revision: was.revision }
    }
}

fn primary_key(conn: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(names)
}

/// Writes only what a code consists of.
fn write_code(conn: &Connection, table: &str, place: Vec<Value>, sealed: &Sealed) -> Result<(), StoreError> {
    let by = primary_key(conn, table)?;
    let by: Vec<_> = by.iter().zip(5..).map(|(name, n)| format!("{name} = ?{n}")).collect();
    let (by, mac_key, mac) = (by.join(" AND "), sealed.mac_key.to_vec(), sealed.mac.to_vec());
    let values = [sealed.epoch.into(), sealed.revision.into(), Value::Blob(mac_key), Value::Blob(mac)];
    let update = format!("UPDATE {table} SET epoch = ?1, revision = ?2, mac_key = ?3, mac = ?4 WHERE {by}");
    match conn.prepare_cached(&update)?.execute(params_from_iter(values.into_iter().chain(place)))? {
        1 => Ok(()),
        rows => Err(StoreError::Refused { detail: format!("{rows} rows of {table} in one place").into() }),
    }
}

/// One step of a unit.
struct InStep<'s, 'u, 'c, 'p> {
    step: &'s mut Step<'u, 'c>,
    pass: &'s Pass<'p>,
    reached: &'s mut Reached,
    done: u64,
}

impl EachTable for InStep<'_, '_, '_, '_> {
    fn table<R: Stored>(&mut self) -> Result<(), StoreError> {
        // What has a sealed layer goes a way of its own when that is taken over too.
        let apart = self.pass.sealed.is_some() && [NumberedWrapping::TABLE, OwnedCredential::TABLE].contains(&R::TABLE);
        if self.is_enough() || apart {
            return Ok(());
        }
        for found in self.pass.found::<R>(self.step.conn(), self.step.codes(), self.reached)? {
            let stamp = self.pass.stamp(found.stamp);
            let sealed = self.step.reseal(set_of(&found.row)?, &found.row, stamp, found.code)?;
            write_code(self.step.conn(), R::TABLE, found.place, &sealed)?;
            self.done += 1;
        }
        Ok(())
    }
}

impl InStep<'_, '_, '_, '_> {
    fn is_enough(&self) -> bool {
        self.done >= self.pass.most.get() as u64
    }

    /// Wrappings change in their sealed layer as well as in their code.
    fn wrappings(&mut self, sealed: &dyn MoveSealed) -> Result<(), NotMoved> {
        for found in self.pass.found::<NumberedWrapping>(self.step.conn(), self.step.codes(), self.reached)? {
            let (number, wrapping) = (found.row.number, &found.row.wrapping);
            let workspace = wrapping.workspace.clone();
            let mut moved = NumberedWrapping { number, wrapping: wrapping.clone() };
            if wrapping.sealed_blob.is_empty() {
                // A destroyed data key's wrapping has no bytes any more: only the name of the key is left to go over.
                if let WrappingKey::Platform(_) = wrapping.wrapped_by {
                    moved.wrapping.wrapped_by = WrappingKey::Platform(self.pass.primary);
                }
            } else {
                let key = read::wrapped_key(self.step.conn(), self.step.codes(), &workspace, wrapping.data_key)?;
                let key = key.ok_or(StoreError::RowForged { table: "data_keys" })?.row.key;
                let not_moved =
                    |why| NotMoved::Sealed { workspace: workspace.clone(), data_key: wrapping.data_key, why };
                moved.wrapping = sealed.move_wrapping(&key, wrapping).map_err(not_moved)?;
                names(&moved.wrapping.sealed_blob, self.pass.primary).map_err(not_moved)?;
            }
            let code = self.step.reseal(Some(workspace.clone()), &moved, self.pass.stamp(found.stamp), found.code)?;
            let (_, key) = crate::row::wrapping_key_code(moved.wrapping.wrapped_by);
            let written = self
                .step
                .conn()
                .prepare_cached(
                    "UPDATE wrappings SET sealed_blob = ?3, wrapping_key = ?4, epoch = ?5, revision = ?6, mac_key = ?7, mac = ?8
                     WHERE workspace = ?1 AND number = ?2",
                )
                .and_then(|mut update| {
                    update.execute(rusqlite::params![
                        workspace.as_str(),
                        stored("wrapping", number).unwrap_or(i64::MAX),
                        moved.wrapping.sealed_blob,
                        key,
                        code.epoch,
                        code.revision,
                        code.mac_key,
                        code.mac,
                    ])
                });
            written.map_err(StoreError::from)?;
            self.done += 1;
        }
        Ok(())
    }

    /// So do credentials, as long as they have a secret part.
    fn credentials(&mut self, sealed: &dyn MoveSealed) -> Result<(), NotMoved> {
        if self.is_enough() {
            return Ok(());
        }
        for found in self.pass.found::<OwnedCredential>(self.step.conn(), self.step.codes(), self.reached)? {
            let mut moved = found.row;
            let workspace = moved.workspace.clone();
            if !moved.credential.sealed.is_empty() {
                let credential = moved.credential.id;
                let not_moved = |why| NotMoved::Credential { workspace: workspace.clone(), credential, why };
                moved.credential.sealed = sealed.move_credential(&workspace, &moved.credential).map_err(not_moved)?;
                names(&moved.credential.sealed, self.pass.primary).map_err(not_moved)?;
            }
            let code = self.step.reseal(Some(workspace), &moved, self.pass.stamp(found.stamp), found.code)?;
            let written = self
                .step
                .conn()
                .prepare_cached(
                    "UPDATE registration_credentials SET sealed = ?3, epoch = ?4, revision = ?5, mac_key = ?6, mac = ?7
                     WHERE workspace = ?1 AND credential = ?2",
                )
                .and_then(|mut update| {
                    update.execute(rusqlite::params![
                        moved.workspace.as_str(),
                        moved.credential.id.as_bytes(),
                        moved.credential.sealed,
                        code.epoch,
                        code.revision,
                        code.mac_key,
                        code.mac,
                    ])
                });
            written.map_err(StoreError::from)?;
            self.done += 1;
        }
        Ok(())
    }

    /// Events are under their chain's hashes; only their codes are made anew.
    fn events(&mut self) -> Result<(), StoreError> {
        for found in self.pass.found::<RecordedEvent>(self.step.conn(), self.step.codes(), self.reached)? {
            let stamp = self.pass.stamp(found.stamp);
            let sealed = Sealed::new(stamp, self.step.codes().make(&found.row, stamp))?;
            write_code(self.step.conn(), "audit", found.place, &sealed)?;
            // So that the unit knows that it has something to commit.
            self.step.rewrite_head(found.row.workspace)?;
            self.done += 1;
        }
        Ok(())
    }
}

/// Has the rows about all sets written anew at the end of the unit.
pub(super) fn rewrite_heads(step: &mut Step<'_, '_>) -> Result<(), StoreError> {
    let mut names = Vec::new();
    read::each(step.conn(), step.codes(), "", [], |kept: Kept<SetHead>| {
        names.push(kept.row.workspace);
        Ok(())
    })?;
    names.into_iter().try_for_each(|workspace| step.rewrite_head(workspace))
}

/// Goes over the rows behind those that were reached, at most about as many as the pass takes. Answers how many; 0: none is left.
/// Where it fails, what was reached is too far: begin anew.
pub(super) fn go_over(step: &mut Step<'_, '_>, pass: &Pass<'_>, reached: &mut Reached) -> Result<u64, NotMoved> {
    let mut in_step = InStep { step, pass, reached, done: 0 };
    if let Some(sealed) = pass.sealed {
        in_step.wrappings(sealed)?;
        in_step.credentials(sealed)?;
    }
    each_table(&mut in_step)?;
    if !in_step.is_enough() {
        in_step.events()?;
    }
    Ok(in_step.done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::MIGRATIONS;

    /// Collects how the query for the next rows of each table is done.
    struct Plans<'c> {
        conn: &'c Connection,
        behind: bool,
        scanned: Vec<&'static str>,
        tables: usize,
    }

    impl EachTable for Plans<'_> {
        fn table<R: Stored>(&mut self) -> Result<(), StoreError> {
            let primary = PlatformKeyId::from_bytes([7; 16]);
            let pass = Pass { primary, epoch: None, sealed: None, most: NonZeroUsize::MIN };
            let places = primary_key(self.conn, R::TABLE)?;
            let after = self.behind.then(|| vec![Value::Null; places.len()]);
            let query = format!("EXPLAIN QUERY PLAN {}", pass.query::<R>(&places, after.as_deref()));
            let mut statement = self.conn.prepare(&query)?;
            let plan = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>()?;
            if plan.iter().any(|line| line.starts_with("SCAN") || line.contains("TEMP B-TREE")) {
                self.scanned.push(R::TABLE);
            }
            self.tables += 1;
            Ok(())
        }
    }

    /// A thousand rows cost the same wherever in a table they stand: no pass reads again what passes before it went over. Seeded bug: asked
    /// from the beginning each time, every table is read from its beginning.
    #[test]
    fn a_pass_goes_on_behind_the_last_row() {
        let conn = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|migration| conn.execute_batch(migration.sql).unwrap());
        let plans = |behind| {
            let mut plans = Plans { conn: &conn, behind, scanned: Vec::new(), tables: 0 };
            each_table(&mut plans).unwrap();
            plans.table::<RecordedEvent>().unwrap();
            (plans.scanned, plans.tables)
        };
        let (scanned, tables) = plans(true);
        assert_eq!(scanned, [""; 0]);
        assert_eq!(plans(false).0.len(), tables);
    }
}
