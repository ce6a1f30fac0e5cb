//! The changes of a file.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, ImplItem, Item, Lit, ReturnType, Signature, Stmt, UnOp};

/// Where a change is.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// The function returns at once.
    Body,
    /// The arm of a match is never used.
    Guard,
    /// A statement is removed.
    Statement,
    /// An expression is replaced.
    Expression,
}

pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The code in its place.
    pub(crate) new: String,
    /// The function or the arm.
    name: String,
    /// It is run only while a rule is switched off by `mutant!`, and so in no program of a user.
    pub(crate) is_off: bool,
}

impl Change {
    pub(crate) fn line(&self, text: &str) -> usize {
        text[..self.start].matches('\n').count() + 1
    }

    /// Returns the code before and after the change.
    pub(crate) fn describe(&self, text: &str) -> String {
        let line = |code: &str| code.split_whitespace().collect::<Vec<_>>().join(" ");
        let old = &text[self.start..self.end];
        match self.place {
            Place::Body => format!("{} returns {}", self.name, line(&format!("{} ", self.new))),
            Place::Guard => format!("never {}", line(&self.name)),
            Place::Statement => format!("{}  ->  removed", line(old)),
            Place::Expression => {
                let first = text[..self.start].rfind('\n').map_or(0, |at| at + 1);
                let last = text[self.end..].find('\n').map_or(text.len(), |at| self.end + at);
                let (before, after) = (&text[first..self.start], &text[self.end..last]);
                format!(
                    "{}  ->  {}",
                    line(&format!("{before}{old}{after}")),
                    line(&format!("{before}{}{after}", self.new))
                )
            }
        }
    }
}

pub(crate) fn changes(text: &str) -> Vec<Change> {
    let file = syn::parse_file(text).expect("a source file");
    let mut finder = Finder { text, changes: Vec::new(), is_off: false };
    finder.visit_file(&file);
    finder.changes
}

struct Finder<'a> {
    text: &'a str,
    changes: Vec<Change>,
    is_off: bool,
}

/// Calls of which only one method is replaced by its opposite.
const OPPOSITES: &[(&str, &str)] = &[
    ("min", "max"),
    ("is_some_and", "is_none_or"),
    ("is_some", "is_none"),
    ("is_ok", "is_err"),
    ("first", "last"),
    ("pop_front", "pop_back"),
    ("push_front", "push_back"),
    ("any", "all"),
    ("saturating_add", "saturating_sub"),
    ("wrapping_add", "wrapping_sub"),
];

impl Finder<'_> {
    fn add(&mut self, place: Place, range: Range<usize>, new: String, name: String) {
        let Range { start, end } = range;
        self.changes.push(Change { place, start, end, new, name, is_off: self.is_off });
    }

    /// Visits code that is run only while a rule is switched off, if `is_off`.
    fn visit_if_off(&mut self, is_off: bool, visit: impl FnOnce(&mut Self)) {
        let before = self.is_off;
        self.is_off |= is_off;
        visit(self);
        self.is_off = before;
    }

    /// Replaces a part of an expression.
    fn replace(&mut self, whole: &impl Spanned, part: &impl Spanned, new: &str) {
        let (whole, part) = (range(whole), range(part));
        let new = format!(
            "{}{new}{}",
            &self.text[whole.start..part.start],
            &self.text[part.end..whole.end]
        );
        self.add(Place::Expression, whole, new, String::new());
    }

    fn body(&mut self, signature: &Signature, block: &Block) {
        if block.stmts.is_empty() {
            return;
        }
        let output = match &signature.output {
            ReturnType::Default => String::new(),
            ReturnType::Type(_, output) => self.text[range(output)].to_owned(),
        };
        let values: &[&str] = match &output[..] {
            "" => &[""],
            "bool" => &["true", "false"],
            "usize" | "u64" | "u32" | "i32" | "u128" => &["0", "1"],
            it if it.starts_with("Option<") => &["None", "Some(Default::default())"],
            it if it.starts_with("Result<") || it.starts_with("io::Result<") => {
                &["Ok(Default::default())"]
            }
            _ => &["Default::default()"],
        };
        let inside = range(block);
        let old = self.text[inside.start + 1..inside.end - 1].trim().to_owned();
        for value in values.iter().filter(|&&value| value != old) {
            let name = signature.ident.to_string();
            self.add(Place::Body, inside.start + 1..inside.start + 1, (*value).to_owned(), name);
        }
    }

    /// Negates a condition that no other change negates.
    fn condition(&mut self, condition: &Expr) {
        if matches!(condition, Expr::Path(_) | Expr::Field(_) | Expr::MethodCall(_) | Expr::Call(_))
        {
            let new = format!("!({})", &self.text[range(condition)]);
            self.add(Place::Expression, range(condition), new, String::new());
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(it) => &it.attrs,
            Item::Mod(it) => &it.attrs,
            Item::Impl(it) => &it.attrs,
            Item::Trait(it) => &it.attrs,
            // A constant cannot depend on a variable.
            _ => return,
        };
        let is_debug = matches!(item, Item::Impl(it) if it.trait_.as_ref()
            .is_some_and(|(_, path, _)| path.segments.last().is_some_and(|it| it.ident == "Debug")));
        if is_debug || attributes.iter().any(is_test) {
            return;
        }
        if let Item::Fn(function) = item {
            if function.sig.constness.is_some() {
                return;
            }
            self.body(&function.sig, &function.block);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(function) = item {
            if function.sig.constness.is_none() && !function.attrs.iter().any(is_test) {
                self.body(&function.sig, &function.block);
                self.visit_block(&function.block);
            }
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.body(&function.sig, block);
            self.visit_block(block);
        }
    }

    // No changes in these.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(expression, Some(_)) = statement {
            let is_compound = matches!(expression, Expr::Binary(_));
            if is_compound
                || matches!(
                    expression,
                    Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) | Expr::Try(_)
                )
            {
                self.add(Place::Statement, range(statement), String::new(), String::new());
            }
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_match(&mut self, it: &'ast syn::ExprMatch) {
        let ends_with_any = it.arms.last().is_some_and(|arm| match &arm.pat {
            _ if arm.guard.is_some() => false,
            syn::Pat::Wild(_) => true,
            // An upper-case letter begins a constant or a variant.
            syn::Pat::Ident(it) => it.ident.to_string().starts_with(char::is_lowercase),
            _ => false,
        });
        for arm in &it.arms {
            match &arm.guard {
                Some((_, guard)) => self.condition(guard),
                None if ends_with_any
                    && !matches!(arm.pat, syn::Pat::Wild(_) | syn::Pat::Ident(_)) =>
                {
                    let end = range(&arm.pat).end;
                    let name = self.text[range(&arm.pat)].to_owned();
                    self.add(Place::Guard, end..end, String::new(), name);
                }
                None => {}
            }
        }
        visit::visit_expr_match(self, it);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let is_off = arm.guard.as_ref().is_some_and(|(_, guard)| is_switch(guard));
        self.visit_if_off(is_off, |finder| visit::visit_arm(finder, arm));
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Binary(it) => {
                for new in operators(&it.op) {
                    self.replace(it, &it.op, new);
                }
            }
            Expr::Unary(it) if matches!(it.op, UnOp::Not(_)) => self.replace(it, &it.op, ""),
            Expr::Lit(it) => {
                if let Lit::Bool(literal) = &it.lit {
                    let new = (!literal.value).to_string();
                    self.replace(it, literal, &new);
                }
            }
            Expr::MethodCall(it) => {
                let name = it.method.to_string();
                for (one, other) in OPPOSITES {
                    if name == *one {
                        self.replace(it, &it.method, other);
                    } else if name == *other {
                        self.replace(it, &it.method, one);
                    }
                }
            }
            Expr::If(it) if is_switch(&it.cond) => {
                if let Expr::Binary(condition) = &*it.cond {
                    for new in operators(&condition.op) {
                        self.replace(condition, &condition.op, new);
                    }
                    self.visit_if_off(true, |finder| finder.visit_expr(&condition.right));
                }
                self.visit_if_off(true, |finder| finder.visit_block(&it.then_branch));
                if let Some((_, other)) = &it.else_branch {
                    self.visit_expr(other);
                }
                return;
            }
            Expr::If(it) => self.condition(&it.cond),
            Expr::While(it) => self.condition(&it.cond),
            // Their parts are constants.
            Expr::Repeat(_) | Expr::Const(_) | Expr::Macro(_) => return,
            _ => {}
        }
        visit::visit_expr(self, expression);
    }
}

fn operators(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">"],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<"],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) => &["+"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::AddAssign(_) => &["-="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitAndAssign(_) => &["|="],
        _ => &[],
    }
}

/// Returns whether a condition is true only while a rule is switched off.
fn is_switch(condition: &Expr) -> bool {
    match condition {
        Expr::Macro(it) => it.mac.path.is_ident("mutant"),
        Expr::Binary(it) => matches!(it.op, BinOp::And(_)) && is_switch(&it.left),
        _ => false,
    }
}

fn is_test(attribute: &syn::Attribute) -> bool {
    use quote::ToTokens as _;
    attribute.path().is_ident("test")
        || attribute.path().is_ident("cfg")
            && attribute.to_token_stream().to_string().contains("(test)")
}

fn range(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}
