//! The `#[flow]` attribute. Flows use it through `flowhost_guest::flow`, where it is described.

mod signature;

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
    if !arguments.is_empty() {
        return Err(syn::Error::new_spanned(arguments, "`#[flow]` takes no arguments"));
    }
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        syn::Error::new(error.span(), "`#[flow]` belongs on a function: `fn name(…) -> Result<Outputs, FlowError>`")
    })?;
    let call = Signature::of(&function.sig)?.call();
    Ok(quote! {
        #function

        const _: () = {
            #[cfg(not(target_family = "wasm"))]
            const _: fn(&str) -> ::core::result::Result<::std::string::String, ::flowhost_guest::FlowError> = run;

            fn run(input: &str) -> ::core::result::Result<::std::string::String, ::flowhost_guest::FlowError> {
                ::flowhost_guest::exported::run(input, #call)
            }

            #[cfg(target_family = "wasm")]
            ::flowhost_guest::exported::export_flow!(run);
        };
    })
}
