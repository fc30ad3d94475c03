//! Who may buy. A request passes the gates in this order; the first three need nobody but this process, the others are lines
//! of `reserve.lua`, where nothing comes between them and the unit.
//!
//! 1. `origin`: no other site makes the buyer's browser ask
//! 2. `session`: who is asking
//! 3. `path`: at an address that was made for this buyer, behind a `puzzle` that no gate is: it spreads the crowd
//! 4. the deny list
//! 5. frequency: so many attempts of a buyer, at whichever instance
//! 6. the window, by Redis's clock
//! 7. the path again: not too old, and no unit was bought with it
//! 8. one unit for each buyer

pub(crate) mod deny;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod puzzle;
pub(crate) mod session;
pub(crate) mod signer;
pub(crate) mod ticket;
