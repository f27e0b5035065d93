freeze("$(BOARD_DIR)", "_boot.py")
