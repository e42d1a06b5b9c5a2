# ~/.bashrc: read by every interactive shell.
[ -n "$PS1" ] || return

PS1='\[\e[1;31m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
case $TERM in xterm*|tmux*|screen*) PS1="\[\e]0;\u@\h: \w\a\]$PS1" ;; esac

HISTCONTROL=ignoreboth
HISTSIZE=5000
HISTFILESIZE=10000
shopt -s histappend checkwinsize

eval "$(dircolors -b)"
alias ls='ls --color=auto'
alias ll='ls -alF'
alias grep='grep --color=auto'
alias ip='ip --color=auto'
