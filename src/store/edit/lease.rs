//! Who of many replicas does what one alone should do. Only here the database's own clock counts.

use crate::store::{Dialect, reader::Statement};

use super::{Edit, EditError, EditTx};

/// Takes a lease that nobody holds, or that `holder` has already; answers whether it is theirs now.
#[derive(Debug)]
pub struct TakeLease {
    /// Of what.
    pub name: &'static str,
    /// Another in each process.
    pub holder: String,
    /// For how long.
    pub seconds: i64,
}

impl Edit for TakeLease {
    type Answer = bool;

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement =
            Statement::<DB>::new("INSERT INTO leases (name, holder, epoch, expires_at) VALUES (");
        statement
            .bind(self.name.to_owned())
            .push(", '', 0, ")
            .push(DB::NOW)
            .push(") ON CONFLICT (name) DO NOTHING");
        tx.execute(statement).await?;
        let [before, after] = DB::SECONDS_FROM_NOW;
        let mut statement = Statement::<DB>::new("UPDATE leases SET epoch = epoch + 1, holder = ");
        statement
            .bind(self.holder.clone())
            .push(", expires_at = ")
            .with(before, self.seconds)
            .push(after)
            .with(" WHERE name = ", self.name.to_owned())
            .push(" AND (expires_at <= ")
            .push(DB::NOW)
            .with(" OR holder = ", self.holder.clone())
            .push(")");
        Ok(tx.execute(statement).await? > 0)
    }
}

/// Gives a lease back before its time.
#[derive(Debug)]
pub struct GiveLeaseBack {
    /// Of what.
    pub name: &'static str,
    /// By whom.
    pub holder: String,
}

impl Edit for GiveLeaseBack {
    type Answer = ();

    async fn apply<DB: Dialect>(&self, tx: &mut EditTx<'_, DB>) -> Result<Self::Answer, EditError> {
        let mut statement = Statement::<DB>::new("UPDATE leases SET holder = '', expires_at = ");
        statement
            .push(DB::NOW)
            .with(" WHERE name = ", self.name.to_owned())
            .with(" AND holder = ", self.holder.clone());
        tx.execute(statement).await?;
        Ok(())
    }
}
