_sower_values() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" kind="" what="" at word valued=""
    # `--environment=production` reaches a completion as three words.
    if [[ "$current" == = ]]; then
        current=""
    elif [[ "$previous" == = ]]; then
        previous="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="${COMP_WORDS[at]}"
        case "$word" in
            =) continue ;;
            VALUED) valued=yes; continue ;;
        esac
        if [[ -n "$valued" || "$word" == -* ]]; then valued=""; continue; fi
        if [[ -z "$command" ]]; then command="$word"; elif [[ -z "$kind" ]]; then kind="$word"; fi
    done
    if [[ -n "$valued" || "$current" != -* ]]; then
        case "$previous" in
            -e | --environment) what=environments ;;
            --only) what=integrations ;;
            --at | --to) what=seedings ;;
            *)
                if [[ -z "$valued" ]]; then
                    case "$command,$kind" in
                        explain, | blame, | rollback, | usage, | usage,record) what=integrations ;;
                        rollout,?*) what=integrations ;;
                        rule,) what=codes ;;
                        diff,*) what=environments ;;
                        get,int* | get,ver*) what=integrations ;;
                        get,env*) what=environments ;;
                    esac
                fi
                ;;
        esac
    fi
    if [[ -z "$what" ]]; then
        _sower "$@"
        return
    fi
    local before=""
    if [[ "$previous" == --only && "$current" == *,* ]]; then before="${current%,*},"; fi
    COMPREPLY=($(compgen -P "$before" -W "$(sower complete "$what" 2>/dev/null)" -- "${current#"$before"}"))
}
