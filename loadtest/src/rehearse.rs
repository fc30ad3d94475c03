//! The whiteboard cards, rehearsed: which card is due, what is asked, and what was missed.
//!
//! Begin with [`card`]: a card as the book's own file has it ([`markdown`] is the little Markdown that it uses, [`cards`] the list of all).
//! [`predict`] is a prediction about a real run. [`deck`] remembers when each card is due. [`session`] is the state machine: it knows
//! neither terminal nor clock, and shows a [`view`]. [`sitting`] is one card on the table, and [`summary`] what is left of an interview.

pub mod card;
pub mod cards;
pub mod deck;
pub mod markdown;
pub mod predict;
pub mod session;
pub mod sitting;
pub mod summary;
pub mod view;
