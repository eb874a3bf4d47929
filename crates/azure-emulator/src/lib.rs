//! azure-emulator
