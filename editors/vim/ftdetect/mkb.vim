autocmd BufRead,BufNewFile *.mkb setfiletype mkb
