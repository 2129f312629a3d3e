_sower_values() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" kind="" what="" at word
    for ((at = 1; at < COMP_CWORD; at++)); do
        word="${COMP_WORDS[at]}"
        case "$word" in -*) continue ;; esac
        if [[ -z "$command" ]]; then command="$word"; elif [[ -z "$kind" ]]; then kind="$word"; fi
    done
    case "$previous" in
        -e | --environment) what=environments ;;
        --only) what=integrations ;;
        -*) ;;
        *)
            if [[ "$current" != -* ]]; then
                case "$command,$kind" in
                    explain,) what=integrations ;;
                    rule,) what=codes ;;
                    get,int*) what=integrations ;;
                    get,env*) what=environments ;;
                esac
            fi
            ;;
    esac
    if [[ -z "$what" ]]; then
        _sower "$@"
        return
    fi
    local before=""
    if [[ "$previous" == --only && "$current" == *,* ]]; then before="${current%,*},"; fi
    COMPREPLY=($(compgen -P "$before" -W "$(sower complete "$what" 2>/dev/null)" -- "${current#"$before"}"))
}
