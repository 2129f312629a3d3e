complete -c sower -n "not __fish_seen_subcommand_from validate" -f
complete -c sower -n "__fish_seen_subcommand_from status get plan explain history drift blame seed reconcile suspend resume" -s e -l environment -x -a "(sower complete environments 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from plan seed reconcile" -l only -x -a "(__fish_append , (sower complete integrations 2>/dev/null))"
complete -c sower -n "__fish_seen_subcommand_from explain blame" -f -a "(sower complete integrations 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from get" -l at -x -a "(sower complete seedings 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from diff" -f -a "(sower complete environments 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from rule" -f -a "(sower complete codes 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from get; and __fish_seen_subcommand_from integration integrations intg version versions" -f -a "(sower complete integrations 2>/dev/null)"
complete -c sower -n "__fish_seen_subcommand_from get; and __fish_seen_subcommand_from environment environments env" -f -a "(sower complete environments 2>/dev/null)"
