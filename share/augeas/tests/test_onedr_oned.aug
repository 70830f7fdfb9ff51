(* Run: augparse -I share/augeas share/augeas/tests/test_onedr_oned.aug *)
module Test_Onedr_Oned =

  let lns = Onedr_Oned.lns

  (* words, quoted words, comments behind them *)
  test lns get "PORT = 2633\nLISTEN_ADDRESS=\"::\" # all\n# end\n" =
    { "PORT" = "2633" }
    { "LISTEN_ADDRESS" = "\"::\"" }

  (* the same name again and again, blank lines between *)
  test lns get "\n\nA = \"x\"\n\n\nA = \"y\"\n" =
    { "A" = "\"x\"" }
    { "A" = "\"y\"" }

  (* two entries on one line *)
  test lns get "A=1 B=2\n" = { "A" = "1" } { "B" = "2" }

  (* nothing behind the sign *)
  test lns get "A =  \nB = 1\n" = { "A" } { "B" = "1" }

  (* a quoted value over two lines, with an escaped quote and a hash *)
  test lns get "A = \"one,\n   two # \\\"three\\\"\"\n" =
    { "A" = "\"one,\n   two # \\\"three\\\"\"" }

  (* vectors: on one line, over many, empty, with comments in every place *)
  test lns get "DB = [ BACKEND = \"sqlite\" ]\n" =
    { "DB" = "[" { "BACKEND" = "\"sqlite\"" } }
  test lns get "A = [\n  B = 1,\n  C=\"2\"]\n" =
    { "A" = "[" { "B" = "1" } { "C" = "\"2\"" } }
  test lns get "A = [ ]\nB = []\n" = { "A" = "[" } { "B" = "[" }
  test lns get "A = [ # one\n  B = 1, # two\n  # three\n  C = 2 # four\n  # five\n]\n" =
    { "A" = "[" { "B" = "1" } { "C" = "2" } }
  test lns get "A = [\n    B = 1\n  , C = 2 ]   # six\n" =
    { "A" = "[" { "B" = "1" } { "C" = "2" } }

  (* tabs and indentation *)
  test lns get "\tA\t=\t1\n  B = [ C = 1 ]  \n" = { "A" = "1" } { "B" = "[" { "C" = "1" } }

  (* comments first *)
  test lns get "# a\n\n  # b\nA = 1\n" = { "A" = "1" }

  (* what oned refuses *)
  test lns get "A = [ B = 1\nC = 2 ]\n" = *
  test lns get "A = [ B = 1,\n]\n" = *
  test lns get "A = [ B = [ C = 1 ] ]\n" = *
  test lns get "A = = 1\n" = *
  test lns get "A = 1 ]\n" = *
  test lns get "A-B = 1\n" = *
  test lns get "just words\n" = *
  test lns get "# no line end" = *

  (* what oned takes for a word, and we refuse *)
  test lns get "A = \"open\nB = 1\n" = *
