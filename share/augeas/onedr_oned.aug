(*
Module: Onedr_Oned
  Reads oned.conf the way oned itself does.

  Debian's augeas (1.14) has no lens for oned.conf. This one follows oned's own
  lexer and grammar (OpenNebula 7.4.0, src/parsers/template_parser.l and
  template_syntax.y; the same in 6.10, 7.0 and 7.2):
    - NAME = VALUE, NAME = "VALUE" (may span lines, \" inside), NAME = (empty)
    - NAME = [ NAME = VALUE, NAME = "VALUE" ]
    - a comment runs from # to the end of its line and may stand between any two
      tokens; a last line without its newline cannot be a comment.
  One thing is stricter on purpose: an unterminated quote, which oned takes for
  an unquoted word, is an error here.
  Blanks and comments are not part of the tree: OneDR uses the tree and its spans
  and never writes through this lens, so every byte it does not mean to change stays.
*)
module Onedr_Oned =

  let sep = del /([ \t\n]|#[^\n]*\n)+/ "\n"
  let gap = del /([ \t\n]|#[^\n]*\n)*/ ""

  let name     = key /[A-Za-z0-9_]+/
  let eq       = del /[ \t]*=[ \t]*/ " = "
  let eq_empty = del /[ \t]*=[ \t]*\n/ " =\n"

  let bare   = /[^]["#=, \t\n][^][#=, \t\n]*/
  let quoted = /"([^"\\]|\\\\+[^"\\]|\\\\+")*"/
  let value  = store (bare | quoted)

  let pair = [ name . eq . value ]

  let comma  = del /([ \t\n]|#[^\n]*\n)*,([ \t\n]|#[^\n]*\n)*/ ", "
  (* the bracket is kept as value: it tells an empty vector from an empty word *)
  let open   = store /\[/ . gap
  let close  = del /([ \t\n]|#[^\n]*\n)*\]/ " ]"
  let vector = [ name . eq . open
                 . ( pair . ( comma . pair )* . close | del /\]/ "]" ) ]

  let empty = [ name . eq_empty ]

  let entry = pair | vector

  let lns = gap . ( entry . sep | empty . gap )*
