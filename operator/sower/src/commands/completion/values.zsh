_sower_environments() {
    local -a words
    words=(${(f)"$(_call_program environments sower complete environments 2>/dev/null)"})
    compadd -a words
}

_sower_integrations() {
    local -a words
    words=(${(f)"$(_call_program integrations sower complete integrations 2>/dev/null)"})
    compset -P '*,'
    compadd -a words
}

_sower_seedings() {
    local -a words
    words=(${(f)"$(_call_program seedings sower complete seedings 2>/dev/null)"})
    compadd -a words
}

_sower_codes() {
    local -a words
    words=(${(f)"$(_call_program codes sower complete codes 2>/dev/null)"})
    compadd -a words
}

_sower_names() {
    if (( ${words[(I)(env|environment|environments)]} )); then
        _sower_environments
    else
        _sower_integrations
    fi
}
