//! Who may buy. A request passes the gates in this order; the first four need nobody but this process, the others are lines
//! of `reserve.lua`, where nothing comes between them and the unit.
//!
//! 1. `origin`: no other site makes the buyer's browser ask
//! 2. `session`: who is asking
//! 3. `limits`: not too often; by IP address before the login, by session after it
//! 4. `path`: at an address that was made for this buyer, behind a `puzzle` that no gate is: it spreads the crowd
//! 5. the deny list
//! 6. frequency: so many attempts of a buyer, at whichever instance
//! 7. the window, by Redis's clock
//! 8. the path again: not too old, and no unit was bought with it
//! 9. one unit for each buyer

pub(crate) mod deny;
pub(crate) mod limits;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod puzzle;
pub(crate) mod session;
pub(crate) mod signer;
pub(crate) mod ticket;
