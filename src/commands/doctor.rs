//! `usher doctor`: looks at all that usher stands on, and says what is wrong, why it matters, and what to type.

use indicatif::MultiProgress;

use crate::{
    cli::{DoctorArgs, Global},
    console,
    doctor::{self, Section, account, machine, shown, store},
    exit::{Failure, Outcome},
    wiring::Context,
};

/// Looks at everything. Changes nothing but for one byte, written to the data directory and taken away again.
pub async fn doctor(global: Global, bars: MultiProgress, args: &DoctorArgs) -> Outcome {
    let sections = match Context::load(&global) {
        Ok(config) => {
            let context = Context::with(global, bars, config)?;
            look(&context, args).await?
        }
        Err(error) => vec![machine::unreadable(&error)],
    };
    console::print(&if args.json { shown::json(&sections)? } else { shown::text(&sections) })?;
    Ok(doctor::exit(&sections))
}

async fn look(context: &Context, args: &DoctorArgs) -> Result<Vec<Section>, Failure> {
    let accounts = context.accounts(args.account.as_ref())?;
    let (of_store, store) = store::look(&context.config, context.global.store.clone()).await;
    let mut sections = vec![machine::look(&context.config), of_store];
    for (name, config) in accounts {
        sections.push(account::look(context, name, config, store.as_ref()).await);
    }
    Ok(sections)
}
