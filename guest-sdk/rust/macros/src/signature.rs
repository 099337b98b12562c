//! What a flow's function may look like.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Result, ReturnType, Type};

/// The one sentence that every refusal ends with.
const EXPECTED: &str = "expected `fn name(this: &Execution, input: Input<T>) -> Result<Outputs, FlowError>`; \
                        each of the two parameters may be left out";

/// A function that can be a flow.
pub(crate) struct Signature {
    name: Ident,
    takes_execution: bool,
    input: Option<Box<Type>>,
}

impl Signature {
    /// Reads a function's signature; the error says what about it cannot be a flow.
    pub(crate) fn of(signature: &syn::Signature) -> Result<Self> {
        let refused = |place: &dyn Spanned, why: &str| Err(Error::new(place.span(), format!("{why}; {EXPECTED}")));
        if let Some(keyword) = &signature.asyncness {
            return refused(keyword, "a flow is not `async`: calls into the host wait by themselves");
        }
        if let Some(keyword) = &signature.unsafety {
            return refused(keyword, "a flow is not `unsafe`");
        }
        if !signature.generics.params.is_empty() {
            return refused(&signature.generics, "a flow has no generic parameters");
        }
        if matches!(signature.output, ReturnType::Default) {
            return refused(&signature.ident, "a flow returns its outputs");
        }
        let mut types = Vec::new();
        for parameter in &signature.inputs {
            match parameter {
                FnArg::Typed(parameter) => types.push(parameter.ty.clone()),
                FnArg::Receiver(receiver) => return refused(receiver, "a flow is a function, not a method"),
            }
        }
        let mut types = types.into_iter().peekable();
        let takes_execution = types.next_if(|first| matches!(**first, Type::Reference(_))).is_some();
        let input = types.next();
        if let Some(Type::Reference(reference)) = input.as_deref() {
            return refused(reference, "the input is taken by value");
        }
        match types.next() {
            Some(surplus) => refused(&surplus, "unexpected parameter"),
            None => Ok(Self { name: signature.ident.clone(), takes_execution, input }),
        }
    }

    /// A closure over execution and input that calls the function with what it takes of them.
    pub(crate) fn call(&self) -> TokenStream {
        let Self { name, takes_execution, input } = self;
        let this = takes_execution.then(|| quote_spanned!(name.span()=> this,));
        match input {
            Some(input) => {
                // The type's own span: a type that is no input is underlined where it is written.
                let parameter = quote_spanned!(input.span()=> input: #input);
                quote_spanned!(name.span()=> |this, #parameter| { let _ = this; #name(#this input) })
            }
            None => {
                quote_spanned!(name.span()=> |this, _: ::flowhost_guest::exported::AnyInput| { let _ = this; #name(#this) })
            }
        }
    }
}
