"""What oned calls: driver data decoded, answers in oned's form. One module per action group."""
