//! What the AliEn and JAliEn computing elements run, and what they must see.
