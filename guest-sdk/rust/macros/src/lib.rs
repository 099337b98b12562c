//! The `#[flow]` attribute. Flows use it through `flowhost_guest::flow`, where it is described.

mod metadata;
mod signature;

use metadata::Metadata;
use proc_macro2::TokenStream;
use quote::quote;
use signature::Signature;
use syn::ItemFn;

/// Makes a function the flow of its crate; `flowhost_guest::flow` says how.
#[proc_macro_attribute]
pub fn flow(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let expanded = expand(arguments.into(), item.clone().into());
    let tokens = expanded.unwrap_or_else(|error| {
        // The function is kept, so that its callers do not add errors of their own.
        let item = TokenStream::from(item);
        let error = error.into_compile_error();
        quote!(#item #error)
    });
    tokens.into()
}

fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let section = Metadata::parse(arguments)?.section()?;
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        syn::Error::new(error.span(), "`#[flow]` belongs on a function: `fn name(…) -> Result<Outputs, FlowError>`")
    })?;
    let call = Signature::of(&function.sig)?.call();
    Ok(quote! {
        #function

        #section

        const _: () = {
            #[cfg(not(target_family = "wasm"))]
            const _: fn(::std::string::String) -> ::core::result::Result<::std::string::String, ::flowhost_guest::FlowError> = run;

            fn run(
                input: ::std::string::String,
            ) -> ::core::result::Result<::std::string::String, ::flowhost_guest::FlowError> {
                ::flowhost_guest::exported::run(input, #call)
            }

            #[cfg(target_family = "wasm")]
            ::flowhost_guest::exported::export_flow!(run);
        };
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap().to_string()
    }

    fn refused(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap_err().to_string()
    }

    #[test]
    fn each_parameter_may_be_left_out() {
        let both = accepted(quote!(
            fn f(this: &Execution, input: Input<u8>) -> Result<Outputs, FlowError> {}
        ));
        assert!(both.contains("f (this , input)"), "{both}");
        let input = accepted(quote!(
            fn f(input: Input<u8>) -> Result<Outputs, FlowError> {}
        ));
        assert!(input.contains("f (input)"), "{input}");
        let execution = accepted(quote!(
            fn f(execution: &Execution) -> Result<Outputs, FlowError> {}
        ));
        assert!(execution.contains("f (this ,)"), "{execution}");
        let none = accepted(quote!(
            fn f() -> Result<Outputs, FlowError> {}
        ));
        assert!(none.contains("f ()"), "{none}");
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_is_expected() {
        for (item, why) in [
            (
                quote!(
                    async fn f() -> Result<Outputs, FlowError> {}
                ),
                "not `async`",
            ),
            (
                quote!(
                    unsafe fn f() -> Result<Outputs, FlowError> {}
                ),
                "not `unsafe`",
            ),
            (
                quote!(
                    fn f<T>() -> Result<Outputs, FlowError> {}
                ),
                "no generic parameters",
            ),
            (
                quote!(
                    fn f() {}
                ),
                "returns its outputs",
            ),
            (
                quote!(
                    fn f(&self) -> Result<Outputs, FlowError> {}
                ),
                "not a method",
            ),
            (
                quote!(
                    fn f(this: &Execution, input: &Input<u8>) -> Result<Outputs, FlowError> {}
                ),
                "taken by value",
            ),
            (
                quote!(
                    fn f(this: &Execution, a: A, b: B) -> Result<Outputs, FlowError> {}
                ),
                "unexpected parameter",
            ),
        ] {
            let message = refused(item);
            assert!(message.contains(why) && message.contains("expected `fn name("), "{message}");
        }
    }

    #[test]
    fn only_a_function_is_a_flow() {
        assert!(
            refused(quote!(
                struct Flow;
            ))
            .contains("belongs on a function")
        );
        let arguments = expand(
            quote!(name = "x"),
            quote!(
                fn f() -> Result<Outputs, FlowError> {}
            ),
        )
        .unwrap_err();
        assert!(arguments.to_string().starts_with("unknown `name`"), "{arguments}");
    }
}
