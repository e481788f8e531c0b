from libs.common.left_out import found

found("greenlet")
found("uvicorn")
